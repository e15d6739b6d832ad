//! The rows of one tensor, as numbers.

use std::ops::Range;

use crate::checkpoint::CheckpointTensor;
use crate::dequantize::dequantize_row;
use crate::family::RowOrder;
use crate::stored::TensorBytes;
use crate::{ModelError, TensorType};

/// A mapped tensor. Row `i` is ours: Hugging Face's order of query and key rows, norms as what they multiply by.
///
/// A vector counts as one row per element, so that biases can be reordered like the rows they belong to.
#[derive(Debug)]
pub struct TensorRows {
    source: Source,
    rows: usize,
    row_len: usize,
}

#[derive(Debug)]
enum Source {
    Stored { bytes: TensorBytes, name: String, tensor_type: TensorType, order: RowOrder, offset: f32 },
    Computed(Vec<f32>),
}

impl TensorRows {
    pub(crate) fn stored(bytes: TensorBytes, tensor: &CheckpointTensor) -> Self {
        let stored = &tensor.stored;
        let row_len = if stored.shape.len() > 1 { stored.shape[stored.shape.len() - 1] } else { 1 };
        let elements: usize = stored.shape.iter().product();
        Self {
            source: Source::Stored {
                bytes,
                name: stored.name.clone(),
                tensor_type: stored.tensor_type,
                order: tensor.order,
                offset: tensor.offset,
            },
            rows: elements / row_len,
            row_len,
        }
    }

    pub(crate) fn computed(values: Vec<f32>) -> Self {
        Self { rows: values.len(), row_len: 1, source: Source::Computed(values) }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers per row.
    pub fn row_len(&self) -> usize {
        self.row_len
    }

    /// How the numbers are stored.
    pub fn tensor_type(&self) -> TensorType {
        match &self.source {
            Source::Stored { tensor_type, .. } => *tensor_type,
            Source::Computed(_) => TensorType::F32,
        }
    }

    /// Reads our rows `rows` into `out`, `[rows.len(), row_len]`.
    ///
    /// # Errors
    /// If the stored blocks do not fit the row length.
    ///
    /// # Panics
    /// If the range is outside the tensor or `out` has another length.
    pub fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError> {
        assert_eq!(out.len(), rows.len() * self.row_len, "the buffer must hold exactly the rows");
        match &self.source {
            Source::Computed(values) => {
                out.copy_from_slice(&values[rows]);
                Ok(())
            }
            Source::Stored { bytes, name, tensor_type, order, offset } => {
                let row_bytes = bytes.len() / self.rows;
                let dequantize = |bytes: &[u8], out: &mut [f32]| {
                    dequantize_row(*tensor_type, bytes, out)
                        .map_err(|source| ModelError::Dequantize { tensor: name.clone(), source })
                };
                if *order == RowOrder::Plain {
                    dequantize(&bytes[rows.start * row_bytes..rows.end * row_bytes], out)?;
                } else {
                    for (ours, out) in rows.zip(out.chunks_exact_mut(self.row_len)) {
                        let stored = order.stored_row(ours);
                        dequantize(&bytes[stored * row_bytes..][..row_bytes], out)?;
                    }
                }
                if *offset != 0.0 {
                    for value in out {
                        *value += offset;
                    }
                }
                Ok(())
            }
        }
    }

    /// What [`read`](Self::read) adds to every stored number: what safetensors leave out of norm weights.
    pub fn offset(&self) -> f32 {
        match &self.source {
            Source::Stored { offset, .. } => *offset,
            Source::Computed(_) => 0.0,
        }
    }

    /// The stored bytes of our row `row`, before [`offset`](Self::offset); `None` if the tensor is not stored at all.
    pub fn raw_row(&self, row: usize) -> Option<&[u8]> {
        match &self.source {
            Source::Stored { bytes, order, .. } => {
                let row_bytes = bytes.len() / self.rows;
                Some(&bytes[order.stored_row(row) * row_bytes..][..row_bytes])
            }
            Source::Computed(_) => None,
        }
    }
}
