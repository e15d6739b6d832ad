//! Numbers stored on their own, rounded to nearest, ties to even.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::dispatch::Encoder;
use super::vector::Vector;

/// As they are.
pub struct F32;

/// IEEE half precision.
pub struct F16;

/// The upper half of an `f32`.
pub struct Bf16;

impl Encoder for F32 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        for (stored, value) in out.as_chunks_mut().0.iter_mut().zip(row) {
            *stored = value.to_le_bytes();
        }
    }
}

impl Encoder for F16 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        /// Numbers narrowed through one buffer at a time: `out` may start at any address.
        const BATCH: usize = 256;

        let mut batch = [f16::ZERO; BATCH];
        for (values, out) in row.chunks(BATCH).zip(out.chunks_mut(2 * BATCH)) {
            let batch = &mut batch[..values.len()];
            batch.convert_from_f32_slice(values);
            for (stored, number) in out.as_chunks_mut().0.iter_mut().zip(batch) {
                *stored = number.to_le_bytes();
            }
        }
    }
}

impl Encoder for Bf16 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        for (stored, value) in out.as_chunks_mut().0.iter_mut().zip(row) {
            let bits = value.to_bits();
            let rounded = bits + 0x7fff + (bits >> 16 & 1);
            *stored = ((rounded >> 16) as u16).to_le_bytes();
        }
    }
}
