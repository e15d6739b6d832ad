//! How good a model is on a text, by itself and beside its parent, measured as llama-perplexity measures it.
//!
//! A text is cut into [`Chunks`]; [`perplexity`] and [`divergence`] take them through the forward pass in groups, and give numbers for
//! every scored token. Memory holds a group's hidden states and 256 MiB of logits for each model, never the logits of a whole text.

mod alignment;
mod base_file;
mod chunks;
mod compare;
mod error;
mod estimate;
mod pass;
mod rows;
mod scores;

use rayon::prelude::*;

use crate::forward::Forward;
use crate::progress::Progress;
use compare::{compare, compare_with_stored};
use pass::{Tile, TokenProgress, groups, hidden_of, tiles};
use rows::Softmax;

pub use alignment::Alignment;
pub use base_file::{BaseReader, BaseWriter};
pub use chunks::{CONTEXT, Chunks};
pub use error::MeasureError;
pub use estimate::Estimate;
use scores::wanted;
pub use scores::{Compared, Divergence, Scores};

/// Who the child is compared with.
#[derive(Debug)]
pub enum Parent<'a> {
    /// A model, which is asked beside the child.
    Model(&'a Forward<'a>),
    /// What it said before. [`BaseReader::check`] is the caller's.
    Stored(BaseReader),
}

/// What a comparison gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How well the parent predicts the text.
    pub parent: Scores,
    /// How well the child does.
    pub child: Scores,
    /// How far they are apart.
    pub divergence: Divergence,
}

impl Comparison {
    /// What some of the chunks give by themselves.
    pub(crate) fn of_chunks(&self, is_wanted: impl Fn(usize) -> bool) -> Self {
        Self {
            parent: self.parent.of_chunks(&is_wanted),
            child: self.child.of_chunks(&is_wanted),
            divergence: Divergence { positions: wanted(&self.divergence.positions, &is_wanted) },
        }
    }
}

/// How well a model predicts a text. What it says can be written to a base file.
///
/// # Errors
/// If the model cannot be read, its numbers are not finite, the file cannot be written, or the user interrupts.
pub fn perplexity(
    model: &Forward,
    chunks: &Chunks,
    mut base: Option<&mut BaseWriter>,
    progress: &dyn Progress,
) -> Result<Scores, MeasureError> {
    let progress = TokenProgress::begin(progress, "perplexity", chunks.tokens().count());
    let mut scores = Scores::new(chunks);
    for group in groups(chunks) {
        let hidden = hidden_of(model, chunks, group.clone(), &progress)?;
        for (hidden, chunk) in hidden.iter().zip(&chunks.all[group]) {
            let mut losses = Vec::with_capacity(chunk.targets().len());
            for positions in tiles(chunk.positions(), model.spec()) {
                progress.go_on()?;
                let tile = Tile::new(model, hidden, positions.clone())?;
                losses.extend(tile.losses(chunk.after(&positions)));
                if let Some(base) = &mut base {
                    base.write(&tile.logits, &tile.softmaxes)?;
                }
            }
            scores.losses.push(losses);
        }
    }
    Ok(scores)
}

/// How far a model is from its parent on a text, for models of one vocabulary. What the parent says can be written to a base file.
///
/// # Errors
/// As [`perplexity`], or if the base file cannot be read.
pub fn divergence(
    mut parent: Parent,
    child: &Forward,
    chunks: &Chunks,
    mut base: Option<&mut BaseWriter>,
    progress: &dyn Progress,
) -> Result<Comparison, MeasureError> {
    let models = if matches!(parent, Parent::Model(_)) { 2 } else { 1 };
    let progress = TokenProgress::begin(progress, "divergence", models * chunks.tokens().count());
    let mut comparison = Comparison::new(chunks, chunks);
    for group in groups(chunks) {
        let of_child = hidden_of(child, chunks, group.clone(), &progress)?;
        let of_parent = match &parent {
            Parent::Model(parent) => hidden_of(parent, chunks, group.clone(), &progress)?,
            Parent::Stored(_) => Vec::new(),
        };
        for (index, chunk) in chunks.all[group].iter().enumerate() {
            let mut compared = Vec::with_capacity(chunk.targets().len());
            for positions in tiles(chunk.positions(), child.spec()) {
                progress.go_on()?;
                let targets = chunk.after(&positions);
                let of_child = Tile::new(child, &of_child[index], positions.clone())?;
                compared.extend(match &mut parent {
                    Parent::Model(parent) => {
                        let of_parent = Tile::new(parent, &of_parent[index], positions)?;
                        if let Some(base) = &mut base {
                            base.write(&of_parent.logits, &of_parent.softmaxes)?;
                        }
                        compare(&of_parent, &of_child, targets)
                    }
                    Parent::Stored(stored) => {
                        compare_with_stored(&stored.read(positions.len())?, &of_child, targets)
                    }
                });
            }
            comparison.parent.losses.push(compared.iter().map(|position| position.parent_loss).collect());
            comparison.child.losses.push(compared.iter().map(|position| position.child_loss).collect());
            comparison.divergence.positions.push(compared);
        }
    }
    Ok(comparison)
}

/// As [`divergence`], for models of different vocabularies: `chunks` is the text as the parent has it.
///
/// # Errors
/// As [`perplexity`].
pub fn divergence_of_aligned(
    parent: &Forward,
    child: &Forward,
    chunks: &Chunks,
    alignment: &Alignment,
    mut base: Option<&mut BaseWriter>,
    progress: &dyn Progress,
) -> Result<Comparison, MeasureError> {
    let tokens = chunks.tokens().count() + alignment.child.tokens().count();
    let progress = TokenProgress::begin(progress, "divergence", tokens);
    let mut comparison = Comparison::new(chunks, &alignment.child);
    for group in groups(chunks) {
        let of_parent = hidden_of(parent, chunks, group.clone(), &progress)?;
        let of_child = hidden_of(child, &alignment.child, group.clone(), &progress)?;
        for (index, chunk) in group.enumerate() {
            let (parent_chunk, child_chunk) = (&chunks.all[chunk], &alignment.child.all[chunk]);
            let mut losses = (Vec::new(), Vec::new());
            let mut compared = Vec::new();
            let mut pairs = alignment.pairs[chunk].as_slice();
            let mut child_done = child_chunk.positions().start;
            for positions in tiles(parent_chunk.positions(), parent.spec()) {
                progress.go_on()?;
                let here;
                (here, pairs) = pairs.split_at(pairs.partition_point(|pair| pair.0 < positions.end));
                // the child's positions go along: those up to the first pair of the next tile
                let child_end = pairs.first().map_or(child_chunk.positions().end, |pair| pair.1);
                let parent_tile = Tile::new(parent, &of_parent[index], positions.clone())?;
                let child_tile = Tile::new(child, &of_child[index], child_done..child_end)?;
                losses.0.extend(parent_tile.losses(parent_chunk.after(&positions)));
                losses.1.extend(child_tile.losses(child_chunk.after(&(child_done..child_end))));
                if let Some(base) = &mut base {
                    base.write(&parent_tile.logits, &parent_tile.softmaxes)?;
                }
                compared.par_extend(here.par_iter().map(|&(of_parent, of_child)| {
                    let target = parent_chunk.tokens[of_parent + 1];
                    let row = parent_tile.row(of_parent - positions.start);
                    alignment.shared.compare(row, child_tile.row(of_child - child_done), target)
                }));
                child_done = child_end;
            }
            comparison.parent.losses.push(losses.0);
            comparison.child.losses.push(losses.1);
            comparison.divergence.positions.push(compared);
        }
    }
    Ok(comparison)
}

/// The mean divergence of two models' logits, `[positions, vocabulary]` each, in nats.
pub fn mean_divergence(parent: &[f32], child: &[f32], vocabulary_size: usize) -> f64 {
    let rows = parent.par_chunks_exact(vocabulary_size).zip(child.par_chunks_exact(vocabulary_size));
    let of_row = |(parent, child): (&[f32], &[f32])| {
        rows::divergence(parent, Softmax::of(parent), child, Softmax::of(child))
    };
    // collected first: a sum in parallel would depend on the number of threads
    let divergences: Vec<f64> = rows.map(of_row).collect();
    divergences.iter().sum::<f64>() / divergences.len().max(1) as f64
}

/// Tokens of the vocabulary that are added up side by side.
const PART: usize = 4096;

/// Adds to `sums`, `[vocabulary]`, the probabilities that logits, `[positions, vocabulary]`, give each token, position after position.
pub(crate) fn add_probabilities(logits: &[f32], sums: &mut [f64]) {
    let size = sums.len();
    let softmaxes: Vec<Softmax> = logits.par_chunks_exact(size).map(Softmax::of).collect();
    // each part in the order of positions: the same for any number of threads
    sums.par_chunks_mut(PART).enumerate().for_each(|(part, sums)| {
        for (row, softmax) in logits.chunks_exact(size).zip(&softmaxes) {
            for (sum, &logit) in sums.iter_mut().zip(&row[part * PART..]) {
                *sum += softmax.probability(logit);
            }
        }
    });
}

/// `-ln` of the probabilities that logits, `[targets, vocabulary]`, give to the tokens that came, together.
pub fn total_loss(logits: &[f32], targets: &[u32], vocabulary_size: usize) -> f64 {
    let rows = logits.par_chunks_exact(vocabulary_size).zip(targets);
    let losses: Vec<f64> = rows.map(|(row, &target)| Softmax::of(row).loss(row[target as usize])).collect();
    losses.iter().sum()
}

impl Comparison {
    fn new(parent: &Chunks, child: &Chunks) -> Self {
        Self {
            parent: Scores::new(parent),
            child: Scores::new(child),
            divergence: Divergence { positions: Vec::with_capacity(child.len()) },
        }
    }
}
