//! What the gradients at the outputs of matrices come to.

use std::collections::BTreeMap;

use candle_core::Result;
use rayon::prelude::*;
use secateur_model::TensorId;

use super::output::Predictions;
use crate::statistics::Moments;

/// Features that one task sums.
const TASK_FEATURES: usize = 64;

/// How much the model's predictions depend on what each matrix gives out.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputFactors {
    tokens: u64,
    /// `E[g²]`, `[out_features]`
    diagonals: BTreeMap<TensorId, Vec<f32>>,
    moments: BTreeMap<TensorId, Moments>,
    output_inputs: Vec<f32>,
    probabilities: Vec<f32>,
    variances: Vec<f32>,
}

impl OutputFactors {
    /// Tokens that the averages are over.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `E[g²]`, `[out_features]`, of a matrix of a layer. Of the token embedding, `[hidden]`: of the gradient at the hidden states
    /// before layer 0, after the embedding's scale.
    pub fn of(&self, id: TensorId) -> Option<&[f32]> {
        self.diagonals.get(&id).map(Vec::as_slice)
    }

    /// `g` of a matrix as moments, `E[g gᵀ]`; `None` unless it was asked for.
    pub fn moments(&self, id: TensorId) -> Option<&Moments> {
        self.moments.get(&id)
    }

    /// `E[u h hᵀ]`, `[hidden, hidden]`: second moments of what the output matrix reads, weighted by how uncertain each prediction
    /// is, `u = Σ p_v (1 - p_v) = 1 - Σ p_v²`.
    pub fn output_inputs(&self) -> &[f32] {
        &self.output_inputs
    }

    /// `E[p_v]`, `[vocabulary]`.
    pub fn mean_probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// `E[p_v (1 - p_v)]`, `[vocabulary]`: `E[g²]` of each logit.
    pub fn logit_factors(&self) -> &[f32] {
        &self.variances
    }
}

/// Sums while gradients come.
#[derive(Debug)]
pub(super) struct Sums<'a> {
    full: &'a [TensorId],
    squares: BTreeMap<TensorId, Vec<f64>>,
    moments: BTreeMap<TensorId, Moments>,
}

impl<'a> Sums<'a> {
    /// `full` names the matrices whose moments are kept.
    pub fn new(full: &'a [TensorId]) -> Self {
        Self { full, squares: BTreeMap::new(), moments: BTreeMap::new() }
    }

    /// Adds the gradient at what a matrix gives out, `[tokens, out_features]`. The sums do not depend on the number of threads.
    pub fn add(&mut self, id: TensorId, gradient: &[f32], tokens: usize) -> Result<()> {
        let features = gradient.len() / tokens;
        let squares = self.squares.entry(id).or_insert_with(|| vec![0.0; features]);
        squares.par_chunks_mut(TASK_FEATURES).enumerate().for_each(|(task, sums)| {
            let start = task * TASK_FEATURES;
            for row in gradient.chunks_exact(features) {
                for (sum, &gradient) in sums.iter_mut().zip(&row[start..]) {
                    *sum += f64::from(gradient) * f64::from(gradient);
                }
            }
        });
        if self.full.contains(&id) {
            self.moments.entry(id).or_insert_with(|| Moments::new(features)).add(gradient)?;
        }
        Ok(())
    }

    /// The averages over `tokens`.
    pub fn finish(self, tokens: u64, predictions: Predictions) -> OutputFactors {
        let average = |sums: Vec<f64>| -> Vec<f32> {
            sums.into_iter().map(|sum| (sum / tokens.max(1) as f64) as f32).collect()
        };
        OutputFactors {
            tokens,
            diagonals: self.squares.into_iter().map(|(id, sums)| (id, average(sums))).collect(),
            moments: self.moments,
            output_inputs: predictions.inputs.averages().second(),
            probabilities: average(predictions.probabilities),
            variances: average(predictions.variances),
        }
    }
}
