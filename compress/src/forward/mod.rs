//! The forward pass: one implementation that reads the [`ModelSpec`], for every family and every mixture of layers.
//!
//! Texts go through the model layer by layer: the weights of a layer are dequantized to `f32` once, all texts pass it, then it makes
//! room for the next. Memory is bounded by one layer and the hidden states, unless [`Residency::Keep`] asks for speed instead. A text
//! passes in chunks of 512 tokens, which bounds what is in work; its keys and values stay until the layer is done.
//!
//! Matrix products are candle's and may run on another device; those of linear layers are `panels`' where the processor has what they need.
//! The rest is plain loops over slices in a fixed order: the number of threads changes nothing in the results.

pub(crate) mod attention;
mod cache;
mod decoder;
mod device;
mod error;
pub(crate) mod exponential;
pub(crate) mod feed_forward;
mod hidden;
pub(crate) mod layer;
pub(crate) mod linear;
pub(crate) mod logits;
pub(crate) mod norm;
#[cfg(target_arch = "x86_64")]
mod panels;
pub(crate) mod rope;
mod staged;
mod taps;
mod token_rows;
pub(crate) mod weights;

use secateur_model::{CacheType, Checkpoint, ModelSpec, Role, TensorId};

use crate::progress::Progress;
use crate::side_by_side::side_by_side;
use attention::KeysAndValues;
use layer::Layer;
use logits::OutputProjection;
use rope::RopeTables;
use taps::Recording;
use weights::LayerReader;

pub use cache::cannot_cache;
pub use decoder::{Decoder, Prompt};
pub use error::ForwardError;
pub(crate) use exponential::exp;
pub use hidden::Hidden;
pub(crate) use linear::with_values;
pub(crate) use norm::{sum_of, sum_of_two};
pub use staged::{StagedLayer, StagedModel};
pub use taps::{NoTaps, Site, Taps};
pub(crate) use token_rows::TokenRows;

/// Tokens of one text that pass a layer at a time.
const CHUNK_TOKENS: usize = 512;

/// What stays in memory between passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// Nothing: each pass reads each layer anew. Memory is bounded by the largest layer.
    Stream,
    /// Every weight as `f32`: four bytes for each, and no pass reads anything.
    Keep,
}

/// A model that texts can pass.
#[derive(Debug)]
pub struct Forward<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) device: candle_core::Device,
    /// All layers, or none.
    kept: Vec<Layer>,
    pub(crate) output: OutputProjection,
    /// How keys and values are kept.
    cache: CacheType,
}

impl<'a> Forward<'a> {
    /// Prepares a model; [`Residency::Keep`] reads it whole.
    ///
    /// # Errors
    /// If a tensor cannot be read, or a layer has a part that is not known here.
    pub fn new(checkpoint: &'a Checkpoint, residency: Residency) -> Result<Self, ForwardError> {
        let device = device::device()?;
        let kept = match residency {
            Residency::Stream => Vec::new(),
            Residency::Keep => (0..checkpoint.spec.layers.len())
                .map(|layer| LayerReader { checkpoint, layer, device: &device }.read())
                .collect::<Result<_, _>>()?,
        };
        let output = OutputProjection::new(checkpoint, residency, &device)?;
        Ok(Self { checkpoint, device, kept, output, cache: CacheType::F32 })
    }

    /// The architecture of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.checkpoint.spec
    }

    /// The hidden states before the first layer, `[tokens, hidden]`.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the embedding cannot be read.
    pub fn embed(&self, tokens: &[u32]) -> Result<Hidden, ForwardError> {
        let spec = self.spec();
        let embedding = self.checkpoint.tensor(TensorId::global(Role::TokenEmbedding))?;
        let mut values = vec![0.0; tokens.len() * spec.hidden_size];
        for (&token, row) in tokens.iter().zip(values.chunks_exact_mut(spec.hidden_size)) {
            let index = token as usize;
            if index >= spec.vocabulary_size {
                return Err(ForwardError::UnknownToken { token, vocabulary_size: spec.vocabulary_size });
            }
            embedding.read(index..index + 1, row)?;
            for value in row {
                *value *= spec.embedding_scale;
            }
        }
        Ok(Hidden::new(values, spec.hidden_size))
    }

    /// Takes every text through all layers. `progress` counts tokens, once for each layer.
    ///
    /// # Errors
    /// If a layer cannot be read, something in it is no longer finite, or the user interrupts.
    pub fn run_layers(
        &self,
        texts: &mut [Hidden],
        taps: &mut dyn Taps,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let spec = self.spec();
        let tokens: usize = texts.iter().map(Hidden::tokens).sum();
        progress.begin_tokens("forward pass", tokens as u64, spec.layers.len() as u64);
        let tables = RopeTables::new(spec, longest(texts))?;
        (0..spec.layers.len()).try_for_each(|index| self.pass(index, texts, &tables, taps, progress))
    }

    /// Takes every text through one layer. `progress` counts tokens; the stage is the caller's.
    ///
    /// # Errors
    /// As [`run_layers`](Self::run_layers).
    pub fn run_layer(
        &self,
        index: usize,
        texts: &mut [Hidden],
        taps: &mut dyn Taps,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let tables = RopeTables::new(self.spec(), longest(texts))?;
        self.pass(index, texts, &tables, taps, progress)
    }

    /// As [`run_layer`](Self::run_layer), for more texts than may stay in memory.
    ///
    /// # Errors
    /// As [`run_layers`](Self::run_layers), or if the disk refuses.
    pub(crate) fn run_layer_of_rows<T: Taps + Send>(
        &self,
        index: usize,
        texts: &mut TokenRows,
        taps: &mut T,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let tables = RopeTables::new(self.spec(), texts.longest())?;
        self.with_layer(index, |layer| {
            let count = texts.texts();
            let begin = |(texts, _): &mut (&mut TokenRows, &mut T), text| texts.hidden(text);
            let work = |text, mut hidden| {
                let mut recording = Recording::default();
                self.pass_text(layer, text, &mut hidden, &tables, &mut recording, progress)?;
                Ok((hidden, recording))
            };
            let end = |(texts, taps): &mut (&mut TokenRows, &mut T), text, seen: (Hidden, Recording)| {
                let (hidden, recording) = seen;
                recording.play(*taps);
                texts.put(text, hidden.values())
            };
            side_by_side(&mut (texts, taps), count, begin, work, end)
        })
    }

    fn pass(
        &self,
        index: usize,
        texts: &mut [Hidden],
        tables: &RopeTables,
        taps: &mut dyn Taps,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        self.with_layer(index, |layer| {
            let mut texts = texts.iter_mut().enumerate();
            texts.try_for_each(|(text, hidden)| self.pass_text(layer, text, hidden, tables, taps, progress))
        })
    }

    fn pass_text(
        &self,
        layer: &Layer,
        text: usize,
        hidden: &mut Hidden,
        tables: &RopeTables,
        taps: &mut dyn Taps,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let (spec, index) = (self.spec(), layer.index);
        let mut memory = KeysAndValues::new(&spec.layers[index], hidden.tokens(), self.cache);
        for chunk in hidden.chunks_mut(CHUNK_TOKENS) {
            check(progress)?;
            let tokens = chunk.len() / spec.hidden_size;
            taps.before_layer(index, chunk);
            layer.run(chunk, &mut [&mut memory], tables.of_layer(index), taps)?;
            if norm::first_not_finite(chunk, spec.hidden_size).is_some() {
                return Err(ForwardError::NotFinite { layer: index, text });
            }
            taps.after_layer(index, chunk);
            progress.advance(tokens as u64);
        }
        Ok(())
    }

    /// Hands a layer to `work`, read anew unless it was kept.
    fn with_layer<T>(
        &self,
        index: usize,
        work: impl FnOnce(&Layer) -> Result<T, ForwardError>,
    ) -> Result<T, ForwardError> {
        match self.kept.get(index) {
            Some(layer) => work(layer),
            None => work(
                &LayerReader { checkpoint: self.checkpoint, layer: index, device: &self.device }.read()?,
            ),
        }
    }
}

/// # Errors
/// [`ForwardError::Interrupted`] once the user asked to stop.
pub(crate) fn check(progress: &dyn Progress) -> Result<(), ForwardError> {
    if progress.is_interrupted() { Err(ForwardError::Interrupted) } else { Ok(()) }
}

/// Tokens of the longest text.
fn longest(texts: &[Hidden]) -> usize {
    texts.iter().map(Hidden::tokens).max().unwrap_or(0)
}
