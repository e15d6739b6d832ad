//! Chunks through a model, a group at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use secateur_model::ModelSpec;

use super::MeasureError;
use super::chunks::{Chunk, Chunks};
use super::rows::Softmax;
use crate::forward::{Forward, ForwardError, Hidden, NoTaps};
use crate::progress::Progress;

/// Tokens that pass the layers together, so that a streamed layer is read once for all of them.
const GROUP_TOKENS: usize = 8192;

/// Logits that exist at a time: 256 MiB.
const TILE_ELEMENTS: usize = 64 << 20;

/// The chunks that pass together.
pub(super) fn groups(chunks: &Chunks) -> impl Iterator<Item = Range<usize>> + use<> {
    let (size, count) = ((GROUP_TOKENS / chunks.context()).max(1), chunks.len());
    (0..count).step_by(size).map(move |start| start..(start + size).min(count))
}

/// The positions whose logits exist at a time.
pub(super) fn tiles(positions: Range<usize>, spec: &ModelSpec) -> impl Iterator<Item = Range<usize>> + use<> {
    let size = (TILE_ELEMENTS / spec.vocabulary_size).max(1);
    positions.clone().step_by(size).map(move |start| start..(start + size).min(positions.end))
}

/// The last hidden states of a group.
pub(super) fn hidden_of(
    model: &Forward,
    chunks: &Chunks,
    group: Range<usize>,
    progress: &TokenProgress,
) -> Result<Vec<Hidden>, MeasureError> {
    let of_chunk = |chunk: &Chunk| model.embed(&chunks.seen(chunk));
    let mut hidden = chunks.all[group.clone()].iter().map(of_chunk).collect::<Result<Vec<_>, _>>()?;
    progress.of_model(model);
    model
        .run_layers(&mut hidden, &mut NoTaps, progress)
        .map_err(|error| MeasureError::in_group(error, group.start))?;
    Ok(hidden)
}

/// Logits, `[positions, vocabulary]`, with their sums.
pub(super) struct Tile {
    pub logits: Vec<f32>,
    pub softmaxes: Vec<Softmax>,
    vocabulary_size: usize,
}

impl Tile {
    pub fn new(model: &Forward, hidden: &Hidden, positions: Range<usize>) -> Result<Self, MeasureError> {
        let vocabulary_size = model.spec().vocabulary_size;
        let logits = model.logits(hidden, positions)?;
        let softmaxes = logits.par_chunks(vocabulary_size).map(Softmax::of).collect();
        Ok(Self { logits, softmaxes, vocabulary_size })
    }

    /// The logits of a position of the tile, `[vocabulary]`.
    pub fn row(&self, position: usize) -> &[f32] {
        &self.logits[position * self.vocabulary_size..][..self.vocabulary_size]
    }

    /// The loss of a token after a position of the tile, in nats.
    pub fn loss(&self, position: usize, target: u32) -> f64 {
        self.softmaxes[position].loss(self.row(position)[target as usize])
    }

    /// The loss of each token, the first after the first position.
    pub fn losses<'a>(&'a self, targets: &'a [u32]) -> impl Iterator<Item = f64> + 'a {
        targets.iter().enumerate().map(|(position, &target)| self.loss(position, target))
    }
}

/// Counts tokens of the text where the forward pass counts them once for each layer.
pub(super) struct TokenProgress<'a> {
    inner: &'a dyn Progress,
    layers: AtomicU64,
    layer_tokens: AtomicU64,
}

impl<'a> TokenProgress<'a> {
    /// Begins a stage of so many tokens.
    pub fn begin(inner: &'a dyn Progress, stage: &'static str, tokens: usize) -> Self {
        inner.begin_tokens(stage, tokens as u64, 1);
        Self { inner, layers: AtomicU64::new(1), layer_tokens: AtomicU64::new(0) }
    }

    /// # Errors
    /// Once the user asked to stop.
    pub fn go_on(&self) -> Result<(), MeasureError> {
        if self.inner.is_interrupted() { Err(ForwardError::Interrupted.into()) } else { Ok(()) }
    }

    fn of_model(&self, model: &Forward) {
        self.layers.store(model.spec().layers.len().max(1) as u64, Ordering::Relaxed);
        self.layer_tokens.store(0, Ordering::Relaxed);
    }
}

impl Progress for TokenProgress<'_> {
    fn begin(&self, _stage: &'static str, _elements: u64) {}

    fn advance(&self, layer_tokens: u64) {
        let layers = self.layers.load(Ordering::Relaxed);
        let before = self.layer_tokens.fetch_add(layer_tokens, Ordering::Relaxed);
        self.inner.advance((before + layer_tokens) / layers - before / layers);
    }

    fn is_interrupted(&self) -> bool {
        self.inner.is_interrupted()
    }
}
