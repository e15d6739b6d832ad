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
mod layer_factors;
mod norm;
mod output;
#[cfg(test)]
mod tests;

use secateur_model::{Checkpoint, Role, TensorId};

use crate::CompressError;
use crate::forward::norm::first_not_finite;
use crate::forward::rope::RopeTables;
use crate::forward::weights::LayerReader;
use crate::forward::{Forward, ForwardError, Hidden, Residency, Site, Taps, check};
use crate::progress::Progress;
use factors::Sums;
use labels::Labels;
use output::Predictions;

pub use factors::OutputFactors;
pub use layer_factors::LayerFactors;
use layer_factors::LayerSums;

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
    let mut seen = |id, gradient: &[f32], _: &[f32], tokens| Ok(sums.add(id, gradient, tokens)?);
    let predictions = back_propagate(checkpoint, texts, &labels, &mut seen, progress)?;
    let tokens = texts.iter().map(Vec::len).sum::<usize>() as u64;
    Ok(sums.finish(tokens, predictions))
}

/// As [`output_factors`], and hands the factors of each layer to `work` as soon as they are whole, the last layer first: with them, what
/// the layer's matrices read, weighted by gradients. Memory holds the moments of one layer.
///
/// # Errors
/// As [`output_factors`], or what `work` says.
pub fn for_each_layer(
    checkpoint: &Checkpoint,
    texts: &[Vec<u32>],
    seed: u64,
    work: &mut dyn FnMut(usize, &LayerFactors) -> Result<(), CompressError>,
    progress: &dyn Progress,
) -> Result<OutputFactors, CompressError> {
    let mut by_layer = ByLayer { sums: Sums::new(&[]), layer: LayerSums::default(), work, failure: None };
    let labels = |text: usize, position: usize, p: &[f32]| labels::draw(seed, text, position, p);
    let predictions = back_propagate(checkpoint, texts, &labels, &mut by_layer, progress);
    if let Some(failure) = by_layer.failure {
        return Err(failure);
    }
    let tokens = texts.iter().map(Vec::len).sum::<usize>() as u64;
    Ok(by_layer.sums.finish(tokens, predictions?))
}

/// Sees what comes back.
trait Observer {
    /// The gradient at what a matrix gives out, `[tokens, out_features]`, what it reads, `[tokens, in_features]` (nothing for the token
    /// embedding), and how many tokens these are: one text at a time.
    fn seen(
        &mut self,
        id: TensorId,
        gradient: &[f32],
        input: &[f32],
        tokens: usize,
    ) -> Result<(), ForwardError>;

    /// All texts have come back through a layer.
    fn layer_done(&mut self, _layer: usize) -> Result<(), ForwardError> {
        Ok(())
    }
}

impl<F> Observer for F
where
    F: FnMut(TensorId, &[f32], &[f32], usize) -> Result<(), ForwardError>,
{
    fn seen(
        &mut self,
        id: TensorId,
        gradient: &[f32],
        input: &[f32],
        tokens: usize,
    ) -> Result<(), ForwardError> {
        self(id, gradient, input, tokens)
    }
}

/// Gathers a layer, and hands it on.
struct ByLayer<'a> {
    sums: Sums<'a>,
    layer: LayerSums,
    work: &'a mut dyn FnMut(usize, &LayerFactors) -> Result<(), CompressError>,
    failure: Option<CompressError>,
}

impl Observer for ByLayer<'_> {
    fn seen(
        &mut self,
        id: TensorId,
        gradient: &[f32],
        input: &[f32],
        tokens: usize,
    ) -> Result<(), ForwardError> {
        if let (Some(_), Some(site)) = (id.layer, Site::of(id.role)) {
            self.layer.add(id.role, site, gradient, input, tokens)?;
            return Ok(());
        }
        Ok(self.sums.add(id, gradient, tokens)?)
    }

    fn layer_done(&mut self, layer: usize) -> Result<(), ForwardError> {
        let factors = std::mem::take(&mut self.layer).finish();
        (self.work)(layer, &factors).map_err(|failure| {
            // the caller of the walk gets the failure itself; this only ends it
            self.failure = Some(failure);
            ForwardError::Interrupted
        })
    }
}

/// Goes forward and back with these labels.
fn back_propagate(
    checkpoint: &Checkpoint,
    texts: &[Vec<u32>],
    labels: Labels,
    observer: &mut dyn Observer,
    progress: &dyn Progress,
) -> Result<Predictions, ForwardError> {
    let forward = Forward::new(checkpoint, Residency::Stream)?;
    let spec = forward.spec();
    let mut hidden = texts.iter().map(|text| forward.embed(text)).collect::<Result<Vec<_>, _>>()?;
    let mut states = States { before: vec![Vec::new(); spec.layers.len()] };
    forward.run_layers(&mut hidden, &mut states, progress)?;

    let lengths: Vec<usize> = hidden.iter().map(Hidden::tokens).collect();
    let tokens: usize = lengths.iter().sum();
    progress.begin_tokens("backward pass", tokens as u64, spec.layers.len() as u64 + 1);
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
            let mut seen = |role, gradient: &[f32], input: &[f32]| {
                observer.seen(TensorId::in_layer(index, role), gradient, input, tokens)
            };
            layer::back(&layer, layer_spec, tables.of_layer(index), before, gradient, &mut seen)?;
            if first_not_finite(gradient, spec.hidden_size).is_some() {
                return Err(ForwardError::GradientNotFinite { layer: index, text });
            }
            progress.advance(tokens as u64);
        }
        observer.layer_done(index)?;
    }
    for (gradient, &tokens) in gradients.iter().zip(&lengths).filter(|(_, tokens)| **tokens > 0) {
        observer.seen(TensorId::global(Role::TokenEmbedding), gradient, &[], tokens)?;
    }
    Ok(predictions)
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
