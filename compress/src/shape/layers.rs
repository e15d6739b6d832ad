//! Which layers can go.

use secateur_model::Checkpoint;

use crate::CompressError;
use crate::forward::{Forward, Hidden, NoTaps, Residency};
use crate::measure::mean_divergence;
use crate::progress::{Progress, Silent};

/// Layers that are tried in every round after the first: those that cost least by themselves.
const TRIED_AGAIN: usize = 10;

/// Tokens that are read to see what a layer is worth; the second half of each text is predicted.
const READ_TOKENS: usize = 1024;

/// The layers that go so that `kept` stay, in the order in which they go, by how far the predictions move: each round takes the layer without
/// which the divergence from the whole model is least. The first and the last layer stay.
///
/// # Errors
/// If the model cannot be read, or the user interrupts.
pub fn drop_by_divergence(
    checkpoint: &Checkpoint,
    kept: usize,
    texts: &[Vec<u32>],
    progress: &dyn Progress,
) -> Result<Vec<usize>, CompressError> {
    let layers = checkpoint.spec.layers.len();
    let rounds = layers - kept;
    let tried = layers.saturating_sub(2);
    progress.begin("choosing layers", (tried + rounds.saturating_sub(1) * TRIED_AGAIN.min(tried)) as u64);
    let judge = Judge::new(checkpoint, texts)?;
    let mut gone: Vec<usize> = Vec::with_capacity(rounds);
    let mut candidates: Vec<usize> = (1..layers.saturating_sub(1)).collect();
    while gone.len() < rounds {
        let before = judge.prefixes(&gone)?;
        let mut costs = Vec::with_capacity(candidates.len());
        for &layer in candidates.iter().filter(|layer| !gone.contains(layer)) {
            progress.check()?;
            costs.push((judge.divergence(&before, &gone, layer)?, layer));
            progress.advance(1);
        }
        costs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some(&(_, cheapest)) = costs.first() else { break };
        gone.push(cheapest);
        // enough to choose all that are still to go from
        let wanted = (rounds - gone.len() + TRIED_AGAIN).min(costs.len() - 1);
        if candidates.len() == tried {
            candidates = costs[1..=wanted].iter().map(|&(_, layer)| layer).collect();
        }
    }
    Ok(gone)
}

/// The layers that go so that `kept` stay, by block influence: those that turn the hidden states least. The first and the last layer stay.
///
/// Source: "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect".
pub fn drop_by_influence(influence: &[f64], kept: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (1..influence.len().saturating_sub(1)).collect();
    order.sort_by(|&a, &b| influence[a].total_cmp(&influence[b]).then(a.cmp(&b)));
    order.truncate(influence.len() - kept);
    order.sort_unstable();
    order
}

/// The whole model's predictions, and how to skip layers.
struct Judge<'a> {
    forward: Forward<'a>,
    embedded: Vec<Hidden>,
    /// Of each text, `[tokens / 2, vocabulary]`.
    predictions: Vec<Vec<f32>>,
}

impl<'a> Judge<'a> {
    fn new(checkpoint: &'a Checkpoint, texts: &[Vec<u32>]) -> Result<Self, CompressError> {
        let forward = Forward::new(checkpoint, Residency::Stream)?;
        let mut embedded = Vec::new();
        let mut tokens = 0;
        for text in texts {
            if tokens >= READ_TOKENS {
                break;
            }
            tokens += text.len();
            embedded.push(forward.embed(text)?);
        }
        let mut judge = Self { forward, embedded, predictions: Vec::new() };
        let mut hidden = judge.embedded.clone();
        judge.pass(&mut hidden, 0, &[])?;
        judge.predictions = judge.logits(&hidden)?;
        Ok(judge)
    }

    /// Takes texts from before layer `first` to the end, past the layers that are `gone`.
    fn pass(&self, hidden: &mut [Hidden], first: usize, gone: &[usize]) -> Result<(), CompressError> {
        let layers = self.forward.spec().layers.len();
        for layer in (first..layers).filter(|layer| !gone.contains(layer)) {
            self.forward.run_layer(layer, hidden, &mut NoTaps, &Silent)?;
        }
        Ok(())
    }

    fn logits(&self, hidden: &[Hidden]) -> Result<Vec<Vec<f32>>, CompressError> {
        let judged = |text: &Hidden| text.tokens() / 2..text.tokens();
        hidden.iter().map(|text| Ok(self.forward.logits(text, judged(text))?)).collect()
    }

    /// The texts before each layer, `[layers]`, past the layers that are gone: what all candidates of a round begin from.
    fn prefixes(&self, gone: &[usize]) -> Result<Vec<Vec<Hidden>>, CompressError> {
        let mut hidden = self.embedded.clone();
        let mut prefixes = Vec::new();
        for layer in 0..self.forward.spec().layers.len() {
            prefixes.push(hidden.clone());
            if !gone.contains(&layer) {
                self.forward.run_layer(layer, &mut hidden, &mut NoTaps, &Silent)?;
            }
        }
        Ok(prefixes)
    }

    /// How far the predictions are without `layer` too, in nats per token.
    fn divergence(
        &self,
        prefixes: &[Vec<Hidden>],
        gone: &[usize],
        layer: usize,
    ) -> Result<f64, CompressError> {
        let mut hidden = prefixes[layer].clone();
        self.pass(&mut hidden, layer + 1, gone)?;
        let vocabulary_size = self.forward.spec().vocabulary_size;
        let child = self.logits(&hidden)?;
        let texts = self.predictions.iter().zip(&child);
        let sum: f64 = texts.map(|(parent, child)| mean_divergence(parent, child, vocabulary_size)).sum();
        Ok(sum / child.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_turn_little_go_and_the_ends_stay() {
        let influence = [0.0, 0.3, 0.1, 0.2, 0.5, 0.0];
        assert_eq!(drop_by_influence(&influence, 6), [0; 0]);
        assert_eq!(drop_by_influence(&influence, 4), [2, 3]);
    }
}
