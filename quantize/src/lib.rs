//! Rows of `f32` as blocks of few bits.
//!
//! Without importance, the legacy types (`q8_0 q5_1 q5_0 q4_1 q4_0 mxfp4`) and floats are byte for byte what ggml writes;
//! the others minimize the squared error by a search of their own. The bytes depend on the values alone: not on the
//! threads, and not on the vector instructions of the machine.

// a kernel gets the vector instructions of the function that dispatched it only where it is inlined into that
#![allow(clippy::inline_always)]

mod affine;
mod dispatch;
pub mod feedback;
mod float;
mod iq3_s;
mod k_affine;
mod k_symmetric;
mod lanes;
mod legacy;
mod levels;
mod mxfp4;
mod pack;
mod patterns;
mod symmetric;
mod vector;
mod weighted_blocks;
mod weights;

use rayon::prelude::*;
use secateur_model::TensorType;

use dispatch::encode_rows;

/// Why numbers could not be quantized.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// There is no quantizer for the type.
    #[error("cannot quantize to {tensor_type}")]
    Unsupported {
        /// The type asked for.
        tensor_type: TensorType,
    },
    /// Rows do not fill whole blocks of the type.
    #[error("rows of {row_len} do not fill {tensor_type} blocks of {block_len}")]
    PartialBlock {
        /// The type asked for.
        tensor_type: TensorType,
        /// Numbers per row.
        row_len: usize,
        /// Numbers per block.
        block_len: usize,
    },
    /// The numbers are no whole rows.
    #[error("{length} numbers are not whole rows of {row_len}")]
    PartialRow {
        /// Numbers given.
        length: usize,
        /// Numbers per row.
        row_len: usize,
    },
    /// The output does not have the size of the result.
    #[error("the result takes {expected} bytes, the output has {found}")]
    WrongOutput {
        /// Bytes of the result.
        expected: usize,
        /// Bytes of the output.
        found: usize,
    },
    /// There is not one weight per column.
    #[error("rows of {row_len} need {row_len} importance weights, found {found}")]
    WrongImportance {
        /// Numbers per row.
        row_len: usize,
        /// Weights given.
        found: usize,
    },
    /// A weight is negative, infinite or not a number.
    #[error("the importance of column {column} is {value}")]
    InvalidImportance {
        /// From 0.
        column: usize,
        /// The weight.
        value: f32,
    },
    /// A number is infinite or not a number.
    #[error("row {row}, column {column} is {value}")]
    NotFinite {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
        /// The number.
        value: f32,
    },
}

/// Quantizes whole rows on this thread.
///
/// `values` is `[rows, row_len]`; `out` takes the stored form, exactly. `importance` is `[row_len]`: how much the squared
/// error of each column counts, in any unit; the float types and `q8_0` have nothing to choose and ignore it.
///
/// # Errors
/// If the lengths do not fit each other or the type, or a number is not finite.
pub fn quantize_rows(
    tensor_type: TensorType,
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    let expected = result_bytes(tensor_type, values.len(), row_len)?;
    if out.len() != expected {
        return Err(QuantizeError::WrongOutput { expected, found: out.len() });
    }
    let importance = checked_importance(importance, row_len)?;
    encode_rows(tensor_type, values, row_len, importance.as_deref(), out)
}

/// Quantizes a tensor `[rows, row_len]` on all threads of the current rayon pool. Otherwise as [`quantize_rows`].
///
/// # Errors
/// As [`quantize_rows`]; of several numbers that are not finite, the first is named.
pub fn quantize_tensor(
    tensor_type: TensorType,
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
) -> Result<Vec<u8>, QuantizeError> {
    /// Numbers that one task quantizes: large enough to hide the cost of a task, small enough to share out a tensor.
    const TASK: usize = 1 << 16;

    let mut out = vec![0; result_bytes(tensor_type, values.len(), row_len)?];
    let importance = checked_importance(importance, row_len)?;
    if values.is_empty() {
        return Ok(out);
    }
    let row_bytes = out.len() / (values.len() / row_len);
    let rows_per_task = (TASK / row_len).max(1);
    let failure = values
        .par_chunks(rows_per_task * row_len)
        .zip(out.par_chunks_mut(rows_per_task * row_bytes))
        .enumerate()
        .find_map_first(|(task, (values, out))| {
            let failure = encode_rows(tensor_type, values, row_len, importance.as_deref(), out).err()?;
            Some(failure.below(task * rows_per_task))
        });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(out),
    }
}

impl QuantizeError {
    /// The same failure, seen from a tensor in which `rows_above` rows come first.
    fn below(self, rows_above: usize) -> Self {
        match self {
            Self::NotFinite { row, column, value } => {
                Self::NotFinite { row: row + rows_above, column, value }
            }
            other => other,
        }
    }
}

fn result_bytes(tensor_type: TensorType, length: usize, row_len: usize) -> Result<usize, QuantizeError> {
    let block_len = tensor_type.block_len();
    let row_bytes = tensor_type.row_bytes(row_len).ok_or(QuantizeError::PartialBlock {
        tensor_type,
        row_len,
        block_len,
    })?;
    if !length.is_multiple_of(row_len) {
        return Err(QuantizeError::PartialRow { length, row_len });
    }
    Ok(length.checked_div(row_len).unwrap_or(0) * row_bytes)
}

/// The weights relative to their mean, bounded below: a column that calibration never saw still gets sensible codes.
/// `None` if no column counts more than another.
fn checked_importance(importance: Option<&[f32]>, row_len: usize) -> Result<Option<Vec<f32>>, QuantizeError> {
    /// Smallest weight, relative to the mean.
    const FLOOR: f64 = 1e-6;

    let Some(importance) = importance else { return Ok(None) };
    if importance.len() != row_len {
        return Err(QuantizeError::WrongImportance { row_len, found: importance.len() });
    }
    if let Some((column, &value)) =
        importance.iter().enumerate().find(|(_, value)| !(value.is_finite() && **value >= 0.0))
    {
        return Err(QuantizeError::InvalidImportance { column, value });
    }
    let mean = importance.iter().copied().map(f64::from).sum::<f64>() / row_len as f64;
    if mean == 0.0 {
        return Ok(None);
    }
    Ok(Some(importance.iter().map(|&value| (f64::from(value) / mean).max(FLOOR) as f32).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let values = [0.0; 96];
        assert_eq!(
            quantize_tensor(TensorType::Q4_K, &values, 96, None),
            Err(QuantizeError::PartialBlock { tensor_type: TensorType::Q4_K, row_len: 96, block_len: 256 })
        );
        assert_eq!(
            quantize_tensor(TensorType::Q4_0, &values, 64, None),
            Err(QuantizeError::PartialRow { length: 96, row_len: 64 })
        );
        assert_eq!(
            quantize_tensor(TensorType::Q4_0, &values, 0, None),
            Err(QuantizeError::PartialRow { length: 96, row_len: 0 })
        );
        assert_eq!(
            quantize_rows(TensorType::Q4_0, &values, 32, None, &mut [0; 53]),
            Err(QuantizeError::WrongOutput { expected: 54, found: 53 })
        );
        assert_eq!(
            quantize_tensor(TensorType::Q4_0, &values, 32, Some(&[1.0; 31])),
            Err(QuantizeError::WrongImportance { row_len: 32, found: 31 })
        );
        let mut importance = [1.0; 32];
        importance[7] = -2.0;
        assert_eq!(
            quantize_tensor(TensorType::Q4_0, &values, 32, Some(&importance)),
            Err(QuantizeError::InvalidImportance { column: 7, value: -2.0 })
        );
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_named() {
        for tensor_type in TensorType::all() {
            let mut values = vec![1.0; 1024 * 256];
            values[1000 * 256 + 9] = f32::NEG_INFINITY;
            values[600 * 256 + 255] = f32::INFINITY;
            assert_eq!(
                quantize_tensor(tensor_type, &values, 256, None),
                Err(QuantizeError::NotFinite { row: 600, column: 255, value: f32::INFINITY }),
                "{tensor_type}"
            );
        }
    }

    #[test]
    fn an_empty_tensor_has_no_bytes() {
        assert_eq!(quantize_tensor(TensorType::Q4_K, &[], 256, None), Ok(Vec::new()));
        assert_eq!(quantize_tensor(TensorType::Q4_K, &[], 0, None), Ok(Vec::new()));
    }
}
