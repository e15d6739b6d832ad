//! Stored tensors as `f32`, bit for bit what ggml's own `to_float` gives.
//!
//! Layouts and the order of every multiplication are those of `ggml-quants.c` in llama.cpp. All numbers in
//! blocks are little-endian.

mod block;
mod codebook;
mod float;
mod k_quants;
mod legacy;
mod patterns;

use crate::TensorType;

pub use codebook::IQ4_VALUES;
pub use patterns::{IQ3_S_PATTERNS, magnitudes};

/// Why bytes could not be read as numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DequantizeError {
    /// The numbers do not fill whole blocks.
    #[error("{length} numbers do not fill {tensor_type} blocks of {block_len}")]
    PartialBlock {
        /// How the numbers are stored.
        tensor_type: TensorType,
        /// Numbers asked for.
        length: usize,
        /// Numbers per block.
        block_len: usize,
    },
    /// The bytes are too few or too many for the numbers.
    #[error("{length} numbers in {tensor_type} take {expected} bytes, found {found}")]
    WrongSize {
        /// How the numbers are stored.
        tensor_type: TensorType,
        /// Numbers asked for.
        length: usize,
        /// Bytes that they take.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}

/// Reads `out.len()` numbers, one row or several whole ones, from their stored form.
///
/// # Errors
/// If the length is no multiple of the type's block, or `bytes` is not exactly that many blocks.
pub fn dequantize_row(tensor_type: TensorType, bytes: &[u8], out: &mut [f32]) -> Result<(), DequantizeError> {
    let length = out.len();
    let block_len = tensor_type.block_len();
    let expected = tensor_type.row_bytes(length).ok_or(DequantizeError::PartialBlock {
        tensor_type,
        length,
        block_len,
    })?;
    if bytes.len() != expected {
        return Err(DequantizeError::WrongSize { tensor_type, length, expected, found: bytes.len() });
    }
    match tensor_type {
        TensorType::F32 => float::f32(bytes, out),
        TensorType::F16 => float::f16(bytes, out),
        TensorType::BF16 => float::bf16(bytes, out),
        TensorType::Q8_0 => block::each(bytes, out, legacy::q8_0),
        TensorType::Q6_K => block::each(bytes, out, k_quants::q6_k),
        TensorType::Q5_K => block::each(bytes, out, k_quants::q5_k),
        TensorType::Q5_1 => block::each(bytes, out, legacy::q5_1),
        TensorType::Q5_0 => block::each(bytes, out, legacy::q5_0),
        TensorType::Q4_K => block::each(bytes, out, k_quants::q4_k),
        TensorType::Q4_1 => block::each(bytes, out, legacy::q4_1),
        TensorType::Q4_0 => block::each(bytes, out, legacy::q4_0),
        TensorType::IQ4_NL => block::each(bytes, out, codebook::iq4_nl),
        TensorType::IQ4_XS => block::each(bytes, out, codebook::iq4_xs),
        TensorType::MXFP4 => block::each(bytes, out, codebook::mxfp4),
        TensorType::IQ3_S => block::each(bytes, out, patterns::iq3_s),
        TensorType::Q3_K => block::each(bytes, out, k_quants::q3_k),
        TensorType::Q2_K => block::each(bytes, out, k_quants::q2_k),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_fit_the_numbers_are_refused() {
        let mut out = [0.0; 48];
        assert_eq!(
            dequantize_row(TensorType::Q4_0, &[0; 27], &mut out),
            Err(DequantizeError::PartialBlock { tensor_type: TensorType::Q4_0, length: 48, block_len: 32 })
        );
        assert_eq!(
            dequantize_row(TensorType::Q4_0, &[0; 17], &mut out[..32]),
            Err(DequantizeError::WrongSize {
                tensor_type: TensorType::Q4_0,
                length: 32,
                expected: 18,
                found: 17
            })
        );
    }
}
