//! What a matrix should be before it is rounded, and how it is best rounded, chosen on texts that neither was fitted to.

use rayon::prelude::*;
use secateur_model::{TensorType, dequantize_row};
use secateur_quantize::feedback::{Problem, ProblemError, round_matrix};

use crate::solve::{Averages, Equations, solve};

/// Ridge of a target where no text is left to choose it on.
const USUAL_RIDGE: f64 = 1.0;

/// Damping where no text is left to choose it on.
pub const USUAL_DAMPING: f64 = 0.01;

/// Dampings that are tried, relative to the mean of the diagonal of `H`.
const DAMPINGS: [f64; 4] = [0.001, 0.01, 0.05, 0.2];

/// Rows that are rounded with each damping.
const SAMPLED_ROWS: usize = 32;

/// What should come out of a matrix of a site, with its inputs, `[rows, width]`. `ends_part` says that `averages` hold it; else they hold what the parent's
/// matrix read, and the matrix should give what the parent's gave.
pub fn wanted(weights: &[f32], averages: &Averages, ends_part: bool) -> candle_core::Result<Vec<f32>> {
    if ends_part {
        return Ok(averages.cross.clone());
    }
    averages.through(weights)
}

/// The weights `[rows, width]` with which a layer, reading what the rounded model gives it, does what it should. The ridge toward the parent's
/// weights is the one that is best on `judging`; then all texts are solved for.
///
/// Source: "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration", here with a ridge, and for output projections with the
/// hidden states of the parent as their goal.
pub fn target(
    weights: &[f32],
    fitted: Equations,
    judging: Option<Equations>,
    all: Equations,
) -> candle_core::Result<Vec<f32>> {
    let ridge = match judging {
        Some(judging) => solve(weights, fitted, judging)?.ridge,
        None => Some(USUAL_RIDGE),
    };
    let solved = ridge.and_then(|ridge| all.solve(weights, ridge));
    Ok(solved.unwrap_or_else(|| weights.to_vec()))
}

/// One matrix in a choice of damping.
pub struct Trial<'a> {
    /// What it will be stored as.
    pub tensor_type: TensorType,
    /// What is rounded, `[rows, width]`.
    pub target: &'a [f32],
    /// Of the texts that judge.
    pub judging: Equations<'a>,
}

/// The problem of a site, damped so that a sample of rows loses least on the texts that judge. `second` is `[width, width]`.
///
/// # Errors
/// If second moments are not finite, or singular with any damping.
pub fn damped(
    second: &[f32],
    width: usize,
    trials: &[Trial<'_>],
    sweeps: usize,
) -> Result<Problem, ProblemError> {
    let with = |damping: f64| Problem::new(second, width, damping);
    if trials.is_empty() {
        return with(USUAL_DAMPING);
    }
    let tried: Vec<(f64, Problem)> = DAMPINGS
        .into_par_iter()
        .filter_map(|damping| {
            let problem = with(damping).ok()?;
            let lost: f64 = trials.iter().map(|trial| trial.lost(&problem, sweeps)).sum();
            Some((lost, problem))
        })
        .collect();
    let best = tried.into_iter().min_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or_else(|| with(USUAL_DAMPING), |(_, problem)| Ok(problem))
}

impl Trial<'_> {
    /// What a sample of rows loses on the texts that judge; infinite if it cannot be told.
    fn lost(&self, problem: &Problem, sweeps: usize) -> f64 {
        let width = problem.width();
        let rows = self.target.len() / width;
        let step = rows.div_ceil(SAMPLED_ROWS).max(1);
        let sample = |matrix: &[f32]| -> Vec<f32> {
            (0..rows).step_by(step).flat_map(|row| &matrix[row * width..][..width]).copied().collect()
        };
        let (values, cross) = (sample(self.target), sample(self.judging.cross));
        let mut stored = vec![0.0; values.len()];
        let rounded = round_matrix(self.tensor_type, &values, problem, sweeps);
        let is_read =
            rounded.is_ok_and(|bytes| dequantize_row(self.tensor_type, &bytes, &mut stored).is_ok());
        let judging = Equations { cross: &cross, ..self.judging };
        let lost = is_read.then(|| judging.error(&stored).ok()).flatten();
        lost.unwrap_or(f64::INFINITY)
    }
}
