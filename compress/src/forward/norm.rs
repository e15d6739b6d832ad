//! RMS norms, and the look at whether numbers are still numbers.

use rayon::prelude::*;

/// Rows that one task takes at least: enough to pay for its scheduling.
const TASK_ROWS: usize = 16;

/// Numbers that one task adds at least.
const TASK_ELEMENTS: usize = 16 << 10;

/// Partial sums that are kept apart, so that the compiler can add several at once. Their number is part of the result.
const LANES: usize = 16;

/// An RMS norm: `x * weight / sqrt(mean(x²) + epsilon)`.
///
/// Source: "Root Mean Square Layer Normalization".
#[derive(Debug)]
pub(crate) struct RmsNorm {
    /// `[features]`
    pub weight: Vec<f32>,
    pub epsilon: f32,
}

impl RmsNorm {
    /// Norms each row of `input`, `[rows, features]`.
    pub fn apply(&self, input: &[f32]) -> Vec<f32> {
        let mut output = input.to_vec();
        output
            .par_chunks_mut(self.weight.len())
            .with_min_len(TASK_ROWS)
            .for_each(|row| self.apply_to_row(row));
        output
    }

    /// Norms one row, `[features]`.
    pub fn apply_to_row(&self, row: &mut [f32]) {
        let mean_square = sum_of(row, |value| value * value) / row.len() as f32;
        let factor = 1.0 / (mean_square + self.epsilon).sqrt();
        for (value, weight) in row.iter_mut().zip(&self.weight) {
            *value = *value * factor * weight;
        }
    }
}

/// Adds `update` to the residual, after the update's own norm if it has one. Both are `[tokens, hidden]`.
pub(crate) fn add_to_residual(residual: &mut [f32], update: &[f32], norm: Option<&RmsNorm>) {
    let normed = norm.map(|norm| norm.apply(update));
    let update = normed.as_deref().unwrap_or(update);
    let parts = residual.par_chunks_mut(TASK_ELEMENTS).zip(update.par_chunks(TASK_ELEMENTS));
    parts.for_each(|(residual, update)| {
        residual.iter_mut().zip(update).for_each(|(value, update)| *value += update);
    });
}

/// The first row of `values`, `[rows, width]`, that holds an infinity or a NaN.
pub(crate) fn first_not_finite(values: &[f32], width: usize) -> Option<usize> {
    // no early exit inside a row: all rows are finite as a rule, and a plain fold runs on vectors
    let is_finite = |row: &[f32]| row.iter().fold(true, |finite, value| finite & value.is_finite());
    let rows = values.par_chunks_exact(width).with_min_len(TASK_ROWS);
    rows.position_first(|row| !is_finite(row))
}

/// The sum of `term` over a row, in a fixed order.
pub(crate) fn sum_of(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    sum_of_two(row, row, |value, _| term(value))
}

/// The sum of products of two rows of the same length, in a fixed order.
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    sum_of_two(left, right, |left, right| left * right)
}

/// The sum of `term` over two rows of the same length, in a fixed order.
pub(crate) fn sum_of_two(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (left_lanes, left_rest) = left.as_chunks::<LANES>();
    let (right_lanes, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_lanes.iter().zip(right_lanes) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += term(*left, *right);
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(&left, &right)| term(left, right));
    sums.into_iter().chain(rest).sum()
}
