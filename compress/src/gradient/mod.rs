//! The backward pass: how much the model's predictions depend on what each matrix gives out.
//!
//! For every position a label is drawn from the model's own prediction, and `-log p(label)` is differentiated back through all
//! layers. The mean square `E[g_o²]` of the gradient at output `o` of a matrix is the output side of its Fisher information; with the second
//! moments `H = E[x xᵀ]` of its inputs, a small change `Δ` of the matrix moves the predictions, per token, by about
//!
//! ```text
//! KL(before || after) ≈ 1/2 Σ_o E[g_o²] (Δ H Δᵀ)_oo
//! ```
//!
//! This takes tokens as independent, and a token's gradient as independent of its input: on a real model one of the matrices measured was
//! overrated seven times (docs/gradient.md).
//!
//! Labels of the model, not of the text: their scores have mean zero given the text, so that gradients of different positions
//! add up in their squares, and the mean is over the distribution that the divergence is about.
//! Sources: "Optimizing Neural Networks with Kronecker-factored Approximate Curvature"; "Limitations of the Empirical Fisher
//! Approximation" on the choice of labels.
//!
//! It walks the same layers as the [forward pass](crate::forward): texts go forward once and leave the hidden states before each
//! layer; then, from the last layer to the first, all texts pass the layer again and come back through it. Memory
//! holds `4 * hidden * layers` bytes for each token, one layer, and what one text needs inside it.

mod attention;
mod columns;
mod factors;
mod feed_forward;
mod labels;
mod layer;
mod norm;
mod output;
#[cfg(test)]
mod tests;

use secateur_model::{Checkpoint, Role, TensorId};

use crate::forward::norm::first_not_finite;
use crate::forward::rope::RopeTables;
use crate::forward::weights::LayerReader;
use crate::forward::{Forward, ForwardError, Hidden, Residency, Taps};
use crate::progress::Progress;
use factors::Sums;
use labels::Labels;
use output::Predictions;

pub use factors::OutputFactors;

/// Takes `texts` of tokens through the model and back. `full` names matrices of which the whole `E[g gᵀ]` is wanted: eight bytes
/// for the square of their outputs. Same texts and seed give the same factors, whatever the number of threads.
///
/// # Errors
/// As the forward pass; and if a gradient is no longer finite.
pub fn output_factors(
    checkpoint: &Checkpoint,
    texts: &[Vec<u32>],
    seed: u64,
    full: &[TensorId],
    progress: &dyn Progress,
) -> Result<OutputFactors, ForwardError> {
    let mut sums = Sums::new(full);
    let labels = |text: usize, position: usize, p: &[f32]| labels::draw(seed, text, position, p);
    let mut seen = |id, gradient: &[f32], tokens| Ok(sums.add(id, gradient, tokens)?);
    let predictions = back_propagate(checkpoint, texts, &labels, &mut seen, progress)?;
    let tokens = texts.iter().map(Vec::len).sum::<usize>() as u64;
    Ok(sums.finish(tokens, predictions))
}

/// Told the gradient at what a matrix gives out, `[tokens, out_features]`, and how many tokens these are: one text at a time.
type Seen<'a> = &'a mut dyn FnMut(TensorId, &[f32], usize) -> Result<(), ForwardError>;

/// Goes forward and back with these labels.
fn back_propagate(
    checkpoint: &Checkpoint,
    texts: &[Vec<u32>],
    labels: Labels,
    seen: Seen,
    progress: &dyn Progress,
) -> Result<Predictions, ForwardError> {
    let forward = Forward::new(checkpoint, Residency::Stream)?;
    let spec = forward.spec();
    let mut hidden = texts.iter().map(|text| forward.embed(text)).collect::<Result<Vec<_>, _>>()?;
    let mut states = States { before: vec![Vec::new(); spec.layers.len()] };
    forward.run_layers(&mut hidden, &mut states, progress)?;

    let lengths: Vec<usize> = hidden.iter().map(Hidden::tokens).collect();
    let tokens: usize = lengths.iter().sum();
    progress.begin("backward pass", (tokens * (spec.layers.len() + 1)) as u64);
    let mut predictions = Predictions::new(spec.hidden_size, spec.vocabulary_size);
    // [tokens, hidden] of each text
    let mut gradients = Vec::with_capacity(hidden.len());
    for (text, hidden) in hidden.into_iter().enumerate() {
        check(progress)?;
        gradients.push(output::back(&forward, text, &hidden, labels, &mut predictions)?);
        progress.advance(hidden.tokens() as u64);
    }
    let tables = RopeTables::new(spec, lengths.iter().copied().max().unwrap_or(0))?;
    for (index, layer_spec) in spec.layers.iter().enumerate().rev() {
        let layer = LayerReader { checkpoint, layer: index, device: &forward.device }.read()?;
        let states = std::mem::take(&mut states.before[index]);
        let mut rest = states.as_slice();
        // an empty text has no gradients
        for (text, gradient) in gradients.iter_mut().enumerate().filter(|(_, gradient)| !gradient.is_empty())
        {
            check(progress)?;
            let before;
            (before, rest) = rest.split_at(gradient.len());
            let tokens = lengths[text];
            let mut seen = |role, gradient: &[f32]| seen(TensorId::in_layer(index, role), gradient, tokens);
            layer::back(&layer, layer_spec, tables.of_layer(index), before, gradient, &mut seen)?;
            if first_not_finite(gradient, spec.hidden_size).is_some() {
                return Err(ForwardError::GradientNotFinite { layer: index, text });
            }
            progress.advance(tokens as u64);
        }
    }
    for (gradient, &tokens) in gradients.iter().zip(&lengths).filter(|(_, tokens)| **tokens > 0) {
        seen(TensorId::global(Role::TokenEmbedding), gradient, tokens)?;
    }
    Ok(predictions)
}

fn check(progress: &dyn Progress) -> Result<(), ForwardError> {
    if progress.is_interrupted() { Err(ForwardError::Interrupted) } else { Ok(()) }
}

/// Keeps the hidden states before each layer, all texts one after the other: `[tokens, hidden]` each.
struct States {
    before: Vec<Vec<f32>>,
}

impl Taps for States {
    fn before_layer(&mut self, layer: usize, hidden: &[f32]) {
        self.before[layer].extend_from_slice(hidden);
    }
}
