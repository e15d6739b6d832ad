//! Small things that rows of numbers need.

use std::ops::Range;

/// Some columns of `rows`, `[tokens, row_len]`: `[tokens, range]`.
pub(super) fn columns(rows: &[f32], row_len: usize, range: Range<usize>) -> Vec<f32> {
    rows.chunks_exact(row_len).flat_map(|row| &row[range.clone()]).copied().collect()
}

/// Adds number by number.
pub(super) fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
