//! Squared weights of rows and columns: what magnitude counts, and what inputs are weighed by.

use secateur_model::{Checkpoint, TensorId};

use crate::CompressError;
use crate::apply::chunks;

/// Squared weights of each row of a matrix, `[out_features]`.
///
/// # Errors
/// If it cannot be read.
pub(super) fn row_squares(checkpoint: &Checkpoint, id: TensorId) -> Result<Vec<f32>, CompressError> {
    let mut squares = Vec::new();
    for_each_row(checkpoint, id, |row| squares.push(row.iter().map(|value| value * value).sum()))?;
    Ok(squares)
}

/// Squared weights of each column over matrices of `width` columns, `[width]`.
///
/// # Errors
/// If one cannot be read.
pub(super) fn column_squares(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    width: usize,
) -> Result<Vec<f64>, CompressError> {
    let mut squares = vec![0.0; width];
    for &id in ids {
        for_each_row(checkpoint, id, |row| {
            squares.iter_mut().zip(row).for_each(|(square, &value)| *square += f64::from(value).powi(2));
        })?;
    }
    Ok(squares)
}

/// Some rows at a time: an embedding is the largest matrix of a model.
fn for_each_row(
    checkpoint: &Checkpoint,
    id: TensorId,
    mut see: impl FnMut(&[f32]),
) -> Result<(), CompressError> {
    let rows = checkpoint.tensor(id)?;
    for chunk in chunks(&rows) {
        let mut values = vec![0.0; chunk.len() * rows.row_len()];
        rows.read(chunk, &mut values)?;
        values.chunks_exact(rows.row_len()).for_each(&mut see);
    }
    Ok(())
}
