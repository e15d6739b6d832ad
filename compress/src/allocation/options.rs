//! What could become of a matrix.

use secateur_model::{TensorId, TensorType};
use serde::{Deserialize, Serialize};

/// Types that matrices may get, where legal: all that are no larger than half precision, which is what parents are stored in.
pub fn candidates() -> impl Iterator<Item = TensorType> {
    TensorType::all().filter(|tensor_type| !matches!(tensor_type, TensorType::F32 | TensorType::BF16))
}

/// One type for one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// How it would be stored.
    pub tensor_type: TensorType,
    /// What it would take in the file.
    pub bytes: u64,
    /// The divergence from the parent that it would cause by itself, in nats per token.
    pub damage: f64,
}

/// In GGUF, tensors start at multiples of so many bytes.
const ALIGNMENT: u64 = 32;

/// What a matrix `[rows, row_len]` takes in a file; `None` if its rows do not fill the blocks of the type.
pub fn bytes_in_file(tensor_type: TensorType, rows: usize, row_len: usize) -> Option<u64> {
    Some((rows as u64 * tensor_type.row_bytes(row_len)? as u64).next_multiple_of(ALIGNMENT))
}

/// What matrices `[rows, row_len]` take that lie in a file one after the other as one: what each makes it longer by.
pub fn bytes_of_joined(tensor_type: TensorType, rows: &[usize], row_len: usize) -> Option<Vec<u64>> {
    let (mut before, mut rows_so_far) = (0, 0);
    let longer = |&rows: &usize| {
        rows_so_far += rows;
        let so_far = bytes_in_file(tensor_type, rows_so_far, row_len)?;
        let longer = so_far - before;
        before = so_far;
        Some(longer)
    };
    rows.iter().map(longer).collect()
}

/// All types that a matrix may get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixOptions {
    /// Which matrix.
    pub id: TensorId,
    /// At least one.
    pub choices: Vec<Choice>,
}
