//! The output projection that does best what its parent's did, on what it reads now.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::statistics::{CrossMoments, Moments};

/// Ridges that are tried, relative to the mean of the diagonal of `H`.
const RIDGES: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// What is needed of a text to solve: second moments of inputs, and how wanted outputs go with them.
#[derive(Debug, Clone)]
pub struct Sums {
    second: Moments,
    cross: CrossMoments,
}

impl Sums {
    /// No tokens yet, for a projection `[outputs, width]`.
    pub fn new(outputs: usize, width: usize) -> Self {
        Self { second: Moments::new(width), cross: CrossMoments::new(outputs, width) }
    }

    /// Adds tokens: what the projection reads, `[tokens, width]`, and what should come out, `[tokens, outputs]`.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, inputs: &[f32], wanted: &[f32]) -> candle_core::Result<()> {
        self.second.add(inputs)?;
        self.cross.add(wanted, inputs)
    }

    /// True if nothing was added.
    pub fn is_empty(&self) -> bool {
        self.second.averages().tokens() == 0
    }
}

/// The normal equations of one set of tokens, in averages.
struct Equations {
    /// `E[y yᵀ]`, `[width, width]`
    second: Mat<f64>,
    /// `E[d yᵀ]`, `[outputs, width]`
    cross: Mat<f64>,
}

impl Equations {
    fn of(sums: &Sums, width: usize) -> Self {
        let (second, cross) = (sums.second.averages().second(), sums.cross.mean());
        let matrix = |values: &[f32]| {
            Mat::from_fn(values.len() / width, width, |row, column| f64::from(values[row * width + column]))
        };
        Self { second: matrix(&second), cross: matrix(&cross) }
    }

    fn mean_diagonal(&self) -> f64 {
        let width = self.second.nrows();
        (0..width).map(|index| self.second[(index, index)]).sum::<f64>() / width as f64
    }

    /// `W' = (C + λ W)(H + λ)⁻¹`; `None` if that cannot be inverted.
    fn solve(&self, weights: &Mat<f64>, ridge: f64) -> Option<Mat<f64>> {
        let width = self.second.nrows();
        let left = Mat::from_fn(width, width, |row, column| {
            self.second[(row, column)] + if row == column { ridge } else { 0.0 }
        });
        // (H + λ) W'ᵀ = (C + λ W)ᵀ
        let right = Mat::from_fn(width, weights.nrows(), |column, output| {
            self.cross[(output, column)] + ridge * weights[(output, column)]
        });
        Some(left.llt(Side::Lower).ok()?.solve(&right).transpose().to_owned())
    }

    /// `E|d - W y|²` less what does not depend on `W`: `tr(W H Wᵀ) - 2 tr(W Cᵀ)`.
    fn error(&self, weights: &Mat<f64>) -> f64 {
        let product = weights * &self.second;
        let mut sum = 0.0;
        for column in 0..weights.ncols() {
            for output in 0..weights.nrows() {
                sum += weights[(output, column)]
                    * (product[(output, column)] - 2.0 * self.cross[(output, column)]);
            }
        }
        sum
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
pub fn solve(weights: &[f32], fitted: &Sums, held_out: &Sums) -> Vec<f32> {
    let width = fitted.second.width();
    let old =
        Mat::from_fn(weights.len() / width, width, |row, column| f64::from(weights[row * width + column]));
    let (equations, judge) = (Equations::of(fitted, width), Equations::of(held_out, width));
    let mean = equations.mean_diagonal();
    let mut best = (judge.error(&old), None);
    for ridge in RIDGES {
        let Some(solved) = equations.solve(&old, ridge * mean) else { continue };
        let error = judge.error(&solved);
        if error < best.0 {
            best = (error, Some(solved));
        }
    }
    match best.1 {
        None => weights.to_vec(),
        Some(solved) => {
            (0..weights.len()).map(|index| solved[(index / width, index % width)] as f32).collect()
        }
    }
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
            sums
        };
        let solved = solve(&vec![0.0; outputs * width], &sums(1), &sums(77));
        for (found, wanted) in solved.iter().zip(&truth) {
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
        assert_eq!(solve(&weights, &fitted, &held_out), weights);
    }
}
