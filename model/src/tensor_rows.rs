//! The rows of one tensor, as numbers.

use std::ops::Range;
use std::sync::Arc;

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
    Stored(StoredRows),
    Computed(Vec<f32>),
}

#[derive(Debug)]
struct StoredRows {
    bytes: TensorBytes,
    row_bytes: usize,
    name: String,
    tensor_type: TensorType,
    order: RowOrder,
    offset: f32,
    /// Numbers per stored row.
    row_len: usize,
    /// Which rows there are, if not all that are stored.
    rows: Option<Arc<[u32]>>,
    /// Which columns there are, likewise.
    columns: Option<Arc<[u32]>>,
    /// Rows that are numbered after those that are stored.
    more_rows: Arc<[u8]>,
}

impl StoredRows {
    /// The stored bytes of our row `row`, all columns.
    fn row(&self, row: usize) -> &[u8] {
        let row = self.rows.as_ref().map_or(row, |rows| rows[row] as usize);
        let stored = self.bytes.len() / self.row_bytes;
        match row.checked_sub(stored) {
            Some(more) => &self.more_rows[more * self.row_bytes..][..self.row_bytes],
            None => &self.bytes[self.order.stored_row(row) * self.row_bytes..][..self.row_bytes],
        }
    }

    /// Reads rows one by one into `out`, `[rows.len(), row_len]`.
    fn read_chosen(&self, rows: Range<usize>, row_len: usize, out: &mut [f32]) -> Result<(), ModelError> {
        let Some(columns) = &self.columns else {
            let mut rows = rows.zip(out.chunks_exact_mut(row_len));
            return rows.try_for_each(|(row, out)| self.dequantize(self.row(row), out));
        };
        let mut whole = vec![0.0; self.row_len];
        for (row, out) in rows.zip(out.chunks_exact_mut(row_len)) {
            self.dequantize(self.row(row), &mut whole)?;
            for (value, &column) in out.iter_mut().zip(columns.iter()) {
                *value = whole[column as usize];
            }
        }
        Ok(())
    }

    fn dequantize(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), ModelError> {
        dequantize_row(self.tensor_type, bytes, out)
            .map_err(|source| ModelError::Dequantize { tensor: self.name.clone(), source })
    }
}

impl TensorRows {
    pub(crate) fn stored(bytes: TensorBytes, tensor: &CheckpointTensor) -> Self {
        let stored = &tensor.stored;
        let row_len = if stored.shape.len() > 1 { stored.shape[stored.shape.len() - 1] } else { 1 };
        let elements: usize = stored.shape.iter().product();
        let stored_rows = elements / row_len;
        Self {
            rows: tensor.rows.as_ref().map_or(stored_rows, |rows| rows.len()),
            row_len: tensor.columns.as_ref().map_or(row_len, |columns| columns.len()),
            source: Source::Stored(StoredRows {
                row_bytes: bytes.len() / stored_rows,
                bytes,
                name: stored.name.clone(),
                tensor_type: stored.tensor_type,
                order: tensor.order,
                offset: tensor.offset,
                row_len,
                rows: tensor.rows.clone(),
                columns: tensor.columns.clone(),
                more_rows: tensor.more_rows.clone(),
            }),
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
            Source::Stored(stored) => stored.tensor_type,
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
            Source::Stored(stored) => {
                let is_whole = stored.rows.is_none() && stored.columns.is_none();
                if stored.order == RowOrder::Plain && is_whole {
                    let bytes = rows.start * stored.row_bytes..rows.end * stored.row_bytes;
                    stored.dequantize(&stored.bytes[bytes], out)?;
                } else {
                    stored.read_chosen(rows, self.row_len, out)?;
                }
                if stored.offset != 0.0 {
                    for value in out {
                        *value += stored.offset;
                    }
                }
                Ok(())
            }
        }
    }

    /// All rows, `[rows, row_len]`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all(&self) -> Result<Vec<f32>, ModelError> {
        let mut values = vec![0.0; self.rows() * self.row_len];
        self.read(0..self.rows(), &mut values)?;
        Ok(values)
    }

    /// What [`read`](Self::read) adds to every stored number: what safetensors leave out of norm weights.
    pub fn offset(&self) -> f32 {
        match &self.source {
            Source::Stored(stored) => stored.offset,
            Source::Computed(_) => 0.0,
        }
    }

    /// The stored bytes of our row `row`, before [`offset`](Self::offset); `None` if the tensor is not stored at all, or not in these
    /// columns.
    pub fn raw_row(&self, row: usize) -> Option<&[u8]> {
        match &self.source {
            Source::Stored(stored) if stored.columns.is_none() => Some(stored.row(row)),
            _ => None,
        }
    }

    /// Hands everything to `see` that the numbers of row `row` depend on: stored bytes, and which columns of them count.
    pub fn identity(&self, row: usize, mut see: impl FnMut(&[u8])) {
        if let Source::Stored(stored) = &self.source {
            see(stored.row(row));
            if let Some(columns) = stored.columns.as_ref().filter(|_| row == 0) {
                columns.iter().for_each(|column| see(&column.to_le_bytes()));
            }
        }
    }
}
