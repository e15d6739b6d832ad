//! From a tensor type to its encoder, compiled for the vectors of the machine at hand.

use secateur_model::TensorType;

#[cfg(target_arch = "x86_64")]
use super::vector::Avx2;
use super::vector::{Portable, Vector};
use super::{QuantizeError, float, k_affine, k_symmetric, legacy, mxfp4, weighted_blocks};

/// One storage type: how a row becomes bytes.
///
/// Implementations are plain loops that the compiler turns into vector instructions, and `#[inline(always)]` down to
/// the last function, so that they take on the instruction set of the caller. Every sum is written in a fixed order and
/// nothing is fused, so the bytes are the same for any instruction set.
pub trait Encoder {
    /// Stores a row whose numbers are finite and fill whole blocks, in exactly as many bytes as they take.
    /// `importance` has the length of the row and no number below 1e-6 in it.
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]);
}

/// Encodes rows whose lengths have been checked.
pub fn encode_rows(
    tensor_type: TensorType,
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    let encode = match tensor_type {
        TensorType::F32 => rows::<float::F32>,
        TensorType::F16 => rows::<float::F16>,
        TensorType::BF16 => rows::<float::Bf16>,
        TensorType::Q8_0 => rows::<legacy::Q8_0>,
        TensorType::Q5_1 => rows::<legacy::Q5_1>,
        TensorType::Q5_0 => rows::<legacy::Q5_0>,
        TensorType::Q4_1 => rows::<legacy::Q4_1>,
        TensorType::Q4_0 => rows::<legacy::Q4_0>,
        TensorType::MXFP4 => rows::<mxfp4::Mxfp4>,
        TensorType::Q5_K => rows::<k_affine::Q5K>,
        TensorType::Q4_K => rows::<k_affine::Q4K>,
        TensorType::Q2_K => rows::<k_affine::Q2K>,
        TensorType::IQ4_NL => rows::<weighted_blocks::Iq4Nl>,
        TensorType::IQ4_XS => rows::<k_symmetric::Iq4Xs>,
        TensorType::Q6_K => rows::<k_symmetric::Q6K>,
        TensorType::Q3_K => rows::<k_symmetric::Q3K>,
        _ => return Err(QuantizeError::Unsupported { tensor_type }),
    };
    encode(values, row_len, importance, out)
}

fn rows<E: Encoder>(
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    if values.is_empty() {
        return Ok(());
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
        // SAFETY: both instruction sets that the function is compiled for were just found on this machine.
        return unsafe { rows_with_avx2::<E>(values, row_len, importance, out) };
    }
    rows_with::<E, Portable>(values, row_len, importance, out)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn rows_with_avx2<E: Encoder>(
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    rows_with::<E, Avx2>(values, row_len, importance, out)
}

#[inline(always)]
fn rows_with<E: Encoder, V: Vector>(
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    let row_bytes = out.len() / (values.len() / row_len);
    for (row, (values, out)) in values.chunks_exact(row_len).zip(out.chunks_exact_mut(row_bytes)).enumerate()
    {
        if !all_finite(values) {
            return Err(not_finite(row, values));
        }
        E::encode::<V>(values, importance, out);
    }
    Ok(())
}

/// On the bits, which vectorizes: the exponent of what is not finite is all ones.
#[inline(always)]
fn all_finite(values: &[f32]) -> bool {
    let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
    largest < f32::INFINITY.to_bits()
}

#[cold]
fn not_finite(row: usize, values: &[f32]) -> QuantizeError {
    let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    QuantizeError::NotFinite { row, column, value: values[column] }
}
