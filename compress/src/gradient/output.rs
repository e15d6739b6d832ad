//! The model's own predictions, and back from them to the last hidden states, a few tokens at a time.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::columns::add;
use super::labels::Labels;
use super::norm;
use crate::forward::exponential::exp;
use crate::forward::linear::with_values;
use crate::forward::logits::tiles;
use crate::forward::norm::sum_of;
use crate::forward::{Forward, ForwardError, Hidden};
use crate::statistics::Moments;

/// Bytes of logits that exist at a time, and as many of their gradients: 128 MiB.
const TILE_BYTES: usize = 128 << 20;

/// Tokens whose logits exist at a time at most: one chunk of the forward pass.
const TILE_TOKENS: usize = 512;

/// Entries of the vocabulary that one task sums.
const TASK_ENTRIES: usize = 1024;

/// Sums over all predictions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predictions {
    /// Of the output matrix's inputs, each times the square root of its prediction's uncertainty.
    pub inputs: Moments,
    /// `p_v`, `[vocabulary]`
    pub probabilities: Vec<f64>,
    /// `p_v (1 - p_v)`, `[vocabulary]`
    pub variances: Vec<f64>,
}

impl Predictions {
    pub fn new(hidden_size: usize, vocabulary_size: usize) -> Self {
        Self {
            inputs: Moments::new(hidden_size),
            probabilities: vec![0.0; vocabulary_size],
            variances: vec![0.0; vocabulary_size],
        }
    }

    /// Adds `probabilities`, `[tokens, vocabulary]`, of which `input`, `[tokens, hidden]`, was the output matrix's input.
    fn add(&mut self, probabilities: &[f32], mut input: Vec<f32>) -> Result<(), ForwardError> {
        let vocabulary_size = self.probabilities.len();
        let width = self.inputs.width();
        let rows = input.par_chunks_mut(width).zip(probabilities.par_chunks(vocabulary_size));
        rows.for_each(|(input, probabilities)| {
            // Σ p (1 - p) = 1 - Σ p², without the loss of digits when one token is certain
            let weight = sum_of(probabilities, |p| p * (1.0 - p)).max(0.0).sqrt();
            input.iter_mut().for_each(|value| *value *= weight);
        });
        self.inputs.add(&input)?;
        let sums =
            self.probabilities.par_chunks_mut(TASK_ENTRIES).zip(self.variances.par_chunks_mut(TASK_ENTRIES));
        sums.enumerate().for_each(|(task, (sums, variances))| {
            let entries = task * TASK_ENTRIES..task * TASK_ENTRIES + sums.len();
            for row in probabilities.chunks_exact(vocabulary_size) {
                for ((sum, variance), &p) in sums.iter_mut().zip(&mut *variances).zip(&row[entries.clone()]) {
                    *sum += f64::from(p);
                    *variance += f64::from(p * (1.0 - p));
                }
            }
        });
        Ok(())
    }
}

/// The gradient of the sum of `-log p(label)` over a text, at `hidden`, the states after the last layer: `[tokens, hidden]`.
pub(super) fn back(
    forward: &Forward,
    text: usize,
    hidden: &Hidden,
    labels: Labels,
    predictions: &mut Predictions,
) -> Result<Vec<f32>, ForwardError> {
    let spec = forward.spec();
    let (tokens, width) = (hidden.tokens(), spec.hidden_size);
    let tile_tokens = (TILE_BYTES / size_of::<f32>() / spec.vocabulary_size).clamp(1, TILE_TOKENS);
    let mut gradient = Vec::with_capacity(tokens * width);
    for start in (0..tokens).step_by(tile_tokens) {
        let tile = start..(start + tile_tokens).min(tokens);
        let mut result = Ok(Vec::new());
        forward.for_each_logits(hidden, tile.clone(), tile_tokens, |_, logits| {
            let probabilities = softmax(logits, spec.vocabulary_size);
            result = predictions
                .add(&probabilities, forward.output_input(hidden, tile.clone()))
                .map(|()| at_logits(spec.final_logit_softcap, logits, probabilities, text, &tile, labels));
        })?;
        let mut at_input = back_through_matrix(forward, result?, tile.len())?;
        let input = &hidden.values()[tile.start * width..tile.end * width];
        norm::back(&forward.output.norm, input, &mut at_input);
        gradient.extend_from_slice(&at_input);
    }
    Ok(gradient)
}

/// `[tokens, vocabulary]` to the same shape.
fn softmax(logits: &[f32], vocabulary_size: usize) -> Vec<f32> {
    let mut probabilities = logits.to_vec();
    probabilities.par_chunks_mut(vocabulary_size).for_each(|row| {
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|logit| *logit = exp(*logit - greatest));
        let factor = 1.0 / sum_of(row, |value| value);
        row.iter_mut().for_each(|value| *value *= factor);
    });
    probabilities
}

/// The gradient at the products of the output matrix, `[tokens, vocabulary]`: probabilities less the label, times the slope of
/// the cap, `1 - (logit / cap)²`, if there is one.
fn at_logits(
    cap: Option<f32>,
    logits: &[f32],
    mut probabilities: Vec<f32>,
    text: usize,
    tile: &Range<usize>,
    labels: Labels,
) -> Vec<f32> {
    let vocabulary_size = logits.len() / tile.len();
    let rows = probabilities.par_chunks_mut(vocabulary_size).zip(logits.par_chunks(vocabulary_size));
    rows.enumerate().for_each(|(row, (gradient, logits))| {
        let label = labels(text, tile.start + row, gradient);
        gradient[label] -= 1.0;
        if let Some(cap) = cap {
            for (gradient, logit) in gradient.iter_mut().zip(logits) {
                *gradient *= 1.0 - (logit / cap).powi(2);
            }
        }
    });
    probabilities
}

/// From the gradient at the products, `[tokens, vocabulary]`, to that at the output matrix's input, `[tokens, hidden]`.
fn back_through_matrix(
    forward: &Forward,
    at_logits: Vec<f32>,
    tokens: usize,
) -> Result<Vec<f32>, ForwardError> {
    let spec = forward.spec();
    let at_logits = Tensor::from_vec(at_logits, (tokens, spec.vocabulary_size), &Device::Cpu)?;
    let mut at_input = vec![0.0; tokens * spec.hidden_size];
    for (index, tile) in tiles(spec).enumerate() {
        let weight = match forward.output.kept.get(index) {
            Some(weight) => Cow::Borrowed(weight),
            None => Cow::Owned(forward.output.read(forward.checkpoint, tile.clone(), &forward.device)?),
        };
        // [tokens, tile] x [tile, hidden]
        let at_tile = at_logits.narrow(1, tile.start, tile.len())?.to_device(&forward.device)?;
        let product = at_tile.matmul(&weight)?.to_device(&Device::Cpu)?;
        with_values(&product, |product| add(&mut at_input, product))?;
    }
    Ok(at_input)
}
