//! Matrices solved anew, so that on what they read in a changed model they do what is wanted of them.

mod streams;
mod sums;
mod wanted;

use candle_core::{Device, Tensor};
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rayon::prelude::*;

use crate::forward::with_values;

pub use streams::Streams;
pub use sums::{Averages, Sums};
pub use wanted::{Wanted, columns};

/// One text of so many judges what is chosen on the others.
const HELD_OUT_STEP: usize = 8;

/// Whether this text of a calibration judges, and nothing is solved on it.
pub fn judges(text: usize) -> bool {
    text % HELD_OUT_STEP == HELD_OUT_STEP - 1
}

/// Ridges that are tried, relative to the mean of the diagonal of `H`.
const RIDGES: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 0.5, 2.0, 10.0];

/// The normal equations of a matrix on one set of tokens.
#[derive(Clone, Copy)]
pub struct Equations<'a> {
    /// Features of an input.
    pub width: usize,
    /// `H = E[y yᵀ]` of what the matrix reads, `[width, width]`.
    pub second: &'a [f32],
    /// `C = E[d yᵀ]` of what should come out, `[outputs, width]`.
    pub cross: &'a [f32],
}

impl<'a> From<&'a Averages> for Equations<'a> {
    fn from(averages: &'a Averages) -> Self {
        Self { width: averages.width, second: &averages.second, cross: &averages.cross }
    }
}

impl Equations<'_> {
    /// `W' = (C + λ W)(H + λ)⁻¹`, `λ` being `ridge` times the mean of the diagonal; `None` if that cannot be inverted. `weights` is
    /// `[outputs, width]`.
    pub fn solve(&self, weights: &[f32], ridge: f64) -> Option<Vec<f32>> {
        let (width, outputs) = (self.width, weights.len() / self.width);
        let at = |values: &[f32], row: usize, column: usize| f64::from(values[row * width + column]);
        let mean = (0..width).map(|index| at(self.second, index, index)).sum::<f64>() / width as f64;
        let ridge = ridge * mean;
        let left = Mat::from_fn(width, width, |row, column| {
            at(self.second, row, column) + if row == column { ridge } else { 0.0 }
        });
        // (H + λ) W'ᵀ = (C + λ W)ᵀ
        let right = Mat::from_fn(width, outputs, |column, output| {
            at(self.cross, output, column) + ridge * at(weights, output, column)
        });
        let solved = left.llt(Side::Lower).ok()?.solve(&right);
        Some((0..weights.len()).map(|index| solved[(index % width, index / width)] as f32).collect())
    }

    /// `E|d - W y|²` less what does not depend on `W`: `tr(W H Wᵀ) - 2 tr(W Cᵀ)`.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn error(&self, weights: &[f32]) -> candle_core::Result<f64> {
        let (width, device) = (self.width, &Device::Cpu);
        let left = Tensor::from_slice(weights, (weights.len() / width, width), device)?;
        let product = left.matmul(&Tensor::from_slice(self.second, (width, width), device)?)?;
        with_values(&product, |product| {
            let terms = weights.iter().zip(product).zip(self.cross);
            terms
                .map(|((&weight, product), cross)| f64::from(weight) * f64::from(product - 2.0 * cross))
                .sum()
        })
    }
}

/// The projection `[outputs, width]` that makes `E|d - W' y|² + λ |W' - W|²` least, `y` being what it reads and `d` what should come out:
///
/// ```text
/// W' = (C + λ W)(H + λ)⁻¹,  H = E[y yᵀ],  C = E[d yᵀ]
/// ```
///
/// `λ` is chosen on the tokens of `held_out`; where no `λ` does better there than `weights` as they are, they stay.
///
/// Sources: the ridge toward the old weights and its choice on held-out tokens as in "Týr-the-Pruner", the closed form as in "FASP".
///
/// # Errors
/// If there is no memory for a product.
pub fn solve(weights: &[f32], fitted: Equations, held_out: Equations) -> candle_core::Result<Solved> {
    let solutions: Vec<Option<(f64, Solved)>> = RIDGES
        .into_par_iter()
        .map(|ridge| {
            let Some(weights) = fitted.solve(weights, ridge) else { return Ok(None) };
            Ok(Some((held_out.error(&weights)?, Solved { ridge: Some(ridge), weights })))
        })
        .collect::<candle_core::Result<_>>()?;
    let unchanged = (held_out.error(weights)?, Solved { ridge: None, weights: weights.to_vec() });
    let better = |best: (f64, Solved), next: (f64, Solved)| if next.0 < best.0 { next } else { best };
    Ok(solutions.into_iter().flatten().fold(unchanged, better).1)
}

/// What [`solve`] found.
pub struct Solved {
    /// The ridge that was best on held-out tokens; `None` if the old weights were better.
    pub ridge: Option<f64>,
    /// `[outputs, width]`
    pub weights: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that repeat late.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 31 + seed) * 7_919 % 10_007) as f32 / 5_003.5 - 1.0).collect()
    }

    fn product(inputs: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
        let row = |input: &[f32]| -> Vec<f32> {
            weights.chunks(width).map(|row| row.iter().zip(input).map(|(a, b)| a * b).sum()).collect()
        };
        inputs.chunks(width).flat_map(row).collect()
    }

    #[test]
    fn weights_that_explain_everything_are_found() {
        let (width, outputs) = (7, 3);
        let truth = numbers(outputs * width, 5);
        let sums = |seed| {
            let inputs = numbers(200 * width, seed);
            let mut sums = Sums::new(outputs, width);
            sums.add(&inputs, &product(&inputs, &truth, width)).unwrap();
            sums.averages().unwrap()
        };
        let (fitted, held_out) = (sums(1), sums(77));
        let solved = solve(&vec![0.0; outputs * width], (&fitted).into(), (&held_out).into()).unwrap();
        for (found, wanted) in solved.weights.iter().zip(&truth) {
            assert!((found - wanted).abs() < 2e-3, "{found} {wanted}");
        }
    }

    #[test]
    fn what_cannot_be_bettered_stays_to_the_bit() {
        let (width, outputs) = (7, 3);
        let weights = numbers(outputs * width, 5);
        // held-out tokens on which the old weights are exact, fitted ones that are noise
        let inputs = numbers(200 * width, 1);
        let mut fitted = Sums::new(outputs, width);
        fitted.add(&inputs, &numbers(200 * outputs, 9)).unwrap();
        let mut held_out = Sums::new(outputs, width);
        held_out.add(&inputs, &product(&inputs, &weights, width)).unwrap();
        let [fitted, held_out] = [fitted, held_out].map(|sums| sums.averages().unwrap());
        let solved = solve(&weights, (&fitted).into(), (&held_out).into()).unwrap();
        assert_eq!((solved.ridge, solved.weights), (None, weights));
    }
}
