//! Back through RMS norms.

use rayon::prelude::*;

use crate::forward::norm::RmsNorm;

/// Rows that one task takes at least: enough to pay for its scheduling.
const TASK_ROWS: usize = 16;

/// Turns the gradient at what the norm gives into that at its `input`; both are `[rows, features]`.
pub(super) fn back(norm: &RmsNorm, input: &[f32], gradient: &mut [f32]) {
    let features = norm.weight.len();
    let rows = gradient.par_chunks_mut(features).zip(input.par_chunks(features));
    rows.with_min_len(TASK_ROWS).for_each(|(gradient, input)| back_row(norm, input, gradient));
}

/// As [`back`], for one row, `[features]`.
///
/// With `y = x w r` and `r = 1 / sqrt(mean(x²) + ε)`: `∂L/∂x = r w g - x r³ mean(x w g)`.
pub(super) fn back_row(norm: &RmsNorm, input: &[f32], gradient: &mut [f32]) {
    let features = input.len() as f32;
    for (gradient, weight) in gradient.iter_mut().zip(&norm.weight) {
        *gradient *= weight;
    }
    let factor = 1.0 / (dot(input, input) / features + norm.epsilon).sqrt();
    let pull = factor * factor * dot(input, gradient) / features;
    for (gradient, value) in gradient.iter_mut().zip(input) {
        *gradient = factor * (*gradient - pull * value);
    }
}

/// The inner product, in a fixed order.
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    // partial sums kept apart, so that the compiler can add several at once; their number is part of the result
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(left, right)| left * right);
    sums.into_iter().chain(rest).sum()
}
