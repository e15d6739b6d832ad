//! What models are held against: their parent on sequences of tokens.

use std::ops::Range;

use secateur_compress::CompressError;
use secateur_compress::forward::{Forward, ForwardError, Hidden, NoTaps, Residency};
use secateur_compress::measure::mean_divergence;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;

/// A parent and what it makes of some sequences.
pub struct Yardstick<'a> {
    sequences: Vec<Vec<u32>>,
    parent: Forward<'a>,
    /// Of each sequence, the parent's last hidden states.
    seen_by_parent: Vec<Hidden>,
}

impl<'a> Yardstick<'a> {
    /// Takes the parent through the sequences once.
    ///
    /// # Errors
    /// If its weights cannot be read.
    pub fn new(parent: &'a Checkpoint, sequences: Vec<Vec<u32>>) -> Result<Self, CompressError> {
        let parent = Forward::new(parent, Residency::Stream)?;
        let seen_by_parent = pass(&parent, &sequences)?;
        Ok(Self { sequences, parent, seen_by_parent })
    }

    /// Sequences of tokens.
    pub fn sequences(&self) -> &[Vec<u32>] {
        &self.sequences
    }

    /// How far a model is from the parent on some of the sequences, in nats per token: the second half of each is judged.
    ///
    /// # Errors
    /// If the model's weights cannot be read.
    pub fn divergences(
        &self,
        model: &Checkpoint,
        sequences: Range<usize>,
    ) -> Result<Vec<f64>, CompressError> {
        let child = Forward::new(model, Residency::Stream)?;
        let seen = pass(&child, &self.sequences[sequences.clone()])?;
        let vocabulary_size = model.spec.vocabulary_size;
        let of = |(index, child_hidden): (usize, &Hidden)| {
            let parent_hidden = &self.seen_by_parent[index];
            let judged = child_hidden.tokens() / 2..child_hidden.tokens();
            let of_parent = self.parent.logits(parent_hidden, judged.clone())?;
            let of_child = child.logits(child_hidden, judged)?;
            Ok(mean_divergence(&of_parent, &of_child, vocabulary_size))
        };
        sequences.zip(&seen).map(of).collect()
    }
}

fn pass(model: &Forward, sequences: &[Vec<u32>]) -> Result<Vec<Hidden>, ForwardError> {
    let mut hidden = sequences.iter().map(|sequence| model.embed(sequence)).collect::<Result<Vec<_>, _>>()?;
    model.run_layers(&mut hidden, &mut NoTaps, &Silent)?;
    Ok(hidden)
}
