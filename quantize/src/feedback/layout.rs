//! One block as bytes.

use half::f16;
use secateur_model::TensorType;

use crate::affine::AffineBlock;
use crate::iq3_s::write_iq3_s;
use crate::k_affine::{write_q2_k, write_q4_k, write_q5_k};
use crate::k_symmetric::{write_iq4_xs, write_q3_k, write_q6_k};
use crate::lanes::{Lanes, grid};
use crate::legacy::{write_q4_0, write_q4_1, write_q5_0, write_q5_1};
use crate::pack;
use crate::symmetric::SymmetricBlock;
use crate::vector::Portable;

/// The numbers of one block (or super-block) of one row.
pub struct Block {
    /// Of the block: the scale itself, or what whole scales are multiplied by.
    pub scale: f32,
    /// Of the block: the minimum itself, or what whole minima are multiplied by.
    pub minimum: f32,
    /// Whole scales of the sub-blocks.
    pub scales: [f32; 16],
    /// Whole minima of the sub-blocks.
    pub minima: [f32; 16],
    /// As they are stored, in order.
    pub codes: [u8; 256],
}

impl Block {
    /// Stores the block in the bytes that a block of the type takes; types without sub-blocks have 32 codes.
    pub fn write(&self, tensor_type: TensorType, out: &mut [u8]) {
        let codes: &[u8; 32] = self.codes.first_chunk().unwrap_or(&[0; 32]);
        match tensor_type {
            TensorType::Q8_0 => {
                out[..2].copy_from_slice(&f16::from_f32(self.scale).to_le_bytes());
                for (out, code) in out[2..].iter_mut().zip(codes) {
                    // code 127 is level 0
                    *out = code.wrapping_sub(127);
                }
            }
            TensorType::MXFP4 => {
                // the scale is half of what E8M0 means, since the levels are doubled
                out[0] = (self.scale.to_bits() >> 23) as u8 + 1;
                pack::nibbles(codes, &mut out[1..]);
            }
            TensorType::Q5_1 => sized(out, |out| write_q5_1(self.scale, self.minimum, codes, out)),
            TensorType::Q5_0 => sized(out, |out| write_q5_0(self.scale, codes, out)),
            TensorType::Q4_1 => sized(out, |out| write_q4_1(self.scale, self.minimum, codes, out)),
            TensorType::Q4_0 | TensorType::IQ4_NL => sized(out, |out| write_q4_0(self.scale, codes, out)),
            TensorType::Q6_K => sized(out, |out| write_q6_k(&self.symmetric::<2>(), &self.codes, out)),
            TensorType::Q3_K => sized(out, |out| write_q3_k(&self.symmetric::<2>(), &self.codes, out)),
            TensorType::IQ4_XS => sized(out, |out| write_iq4_xs(&self.symmetric::<1>(), &self.codes, out)),
            TensorType::IQ3_S => {
                let scales = self.scales.first_chunk().unwrap_or(&[1.0; 8]);
                sized(out, |out| write_iq3_s(self.scale, scales, &self.codes, out));
            }
            TensorType::Q5_K => sized(out, |out| write_q5_k(&self.affine::<1, 32>(), out)),
            TensorType::Q4_K => sized(out, |out| write_q4_k(&self.affine::<1, 32>(), out)),
            TensorType::Q2_K => sized(out, |out| write_q2_k(&self.affine::<2, 16>(), out)),
            _ => {}
        }
    }

    fn symmetric<const WORDS: usize>(&self) -> SymmetricBlock<Portable, WORDS> {
        SymmetricBlock { scale: self.scale, scales: lanes(&self.scales) }
    }

    fn affine<const WORDS: usize, const LEN: usize>(&self) -> AffineBlock<Portable, WORDS, LEN> {
        AffineBlock {
            scale: self.scale,
            minimum: self.minimum,
            scales: lanes(&self.scales),
            minima: lanes(&self.minima),
            codes: grid(&self.codes.map(f32::from)),
        }
    }
}

/// Hands on the bytes as the array that they are.
fn sized<const BYTES: usize>(out: &mut [u8], write: impl FnOnce(&mut [u8; BYTES])) {
    if let Some(out) = out.first_chunk_mut() {
        write(out);
    }
}

fn lanes<const WORDS: usize>(numbers: &[f32; 16]) -> Lanes<Portable, WORDS> {
    let mut words = [[0.0; 8]; WORDS];
    for (word, numbers) in words.iter_mut().zip(numbers.as_chunks().0) {
        *word = *numbers;
    }
    Lanes::load(&words)
}
