//! Numbers stored on their own.

use half::slice::HalfFloatSliceExt;

/// Numbers widened through one buffer at a time: bytes may start at any address, the conversion wants 16-bit numbers.
const BATCH: usize = 256;

/// Copies the bits.
pub fn f32(bytes: &[u8], out: &mut [f32]) {
    for (value, &stored) in out.iter_mut().zip(bytes.as_chunks().0) {
        *value = f32::from_le_bytes(stored);
    }
}

/// Widens IEEE half precision, exactly.
pub fn f16(bytes: &[u8], out: &mut [f32]) {
    let mut batch = [half::f16::ZERO; BATCH];
    for (stored, values) in bytes.chunks(2 * BATCH).zip(out.chunks_mut(BATCH)) {
        let batch = &mut batch[..values.len()];
        for (number, &pair) in batch.iter_mut().zip(stored.as_chunks().0) {
            *number = half::f16::from_le_bytes(pair);
        }
        batch.convert_to_f32_slice(values);
    }
}

/// Widens bfloat16: the upper half of an `f32`, not-a-number included.
pub fn bf16(bytes: &[u8], out: &mut [f32]) {
    for (value, &stored) in out.iter_mut().zip(bytes.as_chunks().0) {
        *value = f32::from_bits(u32::from(u16::from_le_bytes(stored)) << 16);
    }
}
