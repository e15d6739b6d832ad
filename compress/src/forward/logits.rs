//! From the last hidden states to logits, a few tokens and a part of the vocabulary at a time.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use secateur_model::{Checkpoint, ModelSpec, Role, TensorId};

use super::linear::with_values;
use super::norm::{RmsNorm, first_not_finite};
use super::weights::read_rows;
use super::{Forward, ForwardError, Hidden, Residency};

/// Weights of the output matrix that are multiplied, and if need be dequantized, at a time: 32 MiB as `f32`.
const TILE_ELEMENTS: usize = 8 << 20;

/// The norm after the last layer, and the matrix from hidden states to the vocabulary.
#[derive(Debug)]
pub(crate) struct OutputProjection {
    pub norm: RmsNorm,
    matrix: TensorId,
    /// `[rows, hidden]` each, all together the vocabulary; or nothing.
    pub kept: Vec<Tensor>,
}

impl OutputProjection {
    pub fn new(checkpoint: &Checkpoint, residency: Residency, device: &Device) -> Result<Self, ForwardError> {
        let spec = &checkpoint.spec;
        let mut weight = vec![0.0; spec.hidden_size];
        read_rows(&checkpoint.tensor(TensorId::global(Role::OutputNorm))?, 0, &mut weight)?;
        let role = if spec.tied_embeddings { Role::TokenEmbedding } else { Role::Output };
        let norm = RmsNorm { weight, epsilon: spec.norm_epsilon };
        let mut output = Self { norm, matrix: TensorId::global(role), kept: Vec::new() };
        if residency == Residency::Keep {
            output.kept =
                tiles(spec).map(|tile| output.read(checkpoint, tile, device)).collect::<Result<_, _>>()?;
        }
        Ok(output)
    }

    /// The weights of a part of the vocabulary, `[rows, hidden]`.
    pub fn read(
        &self,
        checkpoint: &Checkpoint,
        tile: Range<usize>,
        device: &Device,
    ) -> Result<Tensor, ForwardError> {
        let hidden_size = checkpoint.spec.hidden_size;
        let mut weight = vec![0.0; tile.len() * hidden_size];
        read_rows(&checkpoint.tensor(self.matrix)?, tile.start, &mut weight)?;
        let weight = Tensor::from_vec(weight, (tile.len(), hidden_size), &Device::Cpu)?;
        Ok(weight.to_device(device)?)
    }
}

/// The parts of the vocabulary that are multiplied one after the other.
pub(crate) fn tiles(spec: &ModelSpec) -> impl Iterator<Item = Range<usize>> + use<> {
    let (rows, size) = ((TILE_ELEMENTS / spec.hidden_size).max(1), spec.vocabulary_size);
    (0..size).step_by(rows).map(move |start| start..(start + rows).min(size))
}

impl Forward<'_> {
    /// What the output matrix reads: the hidden states of `tokens` after the last norm, `[tokens, hidden]`.
    ///
    /// # Panics
    /// If the text does not have these tokens.
    pub fn output_input(&self, hidden: &Hidden, tokens: Range<usize>) -> Vec<f32> {
        let width = self.spec().hidden_size;
        self.output.norm.apply(&hidden.values()[tokens.start * width..tokens.end * width])
    }

    /// Computes the logits after each of `tokens`, and hands them out `tile_tokens` at a time: the first of these tokens, and
    /// `[up to tile_tokens, vocabulary]`. Memory holds one such tile, and 32 MiB of weights if they are not kept; without
    /// [`Residency::Keep`] every tile dequantizes the matrix anew, so tiles should be large.
    ///
    /// # Errors
    /// If the output matrix cannot be read, or a logit is not finite.
    ///
    /// # Panics
    /// If the text does not have these tokens, or `tile_tokens` is 0.
    pub fn for_each_logits(
        &self,
        hidden: &Hidden,
        tokens: Range<usize>,
        tile_tokens: usize,
        mut work: impl FnMut(usize, &[f32]),
    ) -> Result<(), ForwardError> {
        for start in tokens.clone().step_by(tile_tokens) {
            let end = (start + tile_tokens).min(tokens.end);
            work(start, &self.logits(hidden, start..end)?);
        }
        Ok(())
    }

    /// The logits after each of `tokens`, `[tokens, vocabulary]`.
    ///
    /// # Errors
    /// If the output matrix cannot be read, or a logit is not finite.
    ///
    /// # Panics
    /// If the text does not have these tokens.
    pub fn logits(&self, hidden: &Hidden, tokens: Range<usize>) -> Result<Vec<f32>, ForwardError> {
        let spec = self.spec();
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let input = self.output_input(hidden, tokens.clone());
        let input = Tensor::from_vec(input, (tokens.len(), spec.hidden_size), &Device::Cpu)?;
        let input = input.to_device(&self.device)?;
        let mut logits = vec![0.0; tokens.len() * spec.vocabulary_size];
        for (index, tile) in tiles(spec).enumerate() {
            let weight = match self.output.kept.get(index) {
                Some(weight) => Cow::Borrowed(weight),
                None => Cow::Owned(self.output.read(self.checkpoint, tile.clone(), &self.device)?),
            };
            let product = input.matmul(&weight.t()?)?.to_device(&Device::Cpu)?;
            with_values(&product, |product| place(spec, product, &tile, &mut logits))?;
        }
        match first_not_finite(&logits, spec.vocabulary_size) {
            Some(token) => Err(ForwardError::LogitsNotFinite { token: tokens.start + token }),
            None => Ok(logits),
        }
    }
}

/// Puts the logits of a part of the vocabulary, `[tokens, tile]`, to the others, `[tokens, vocabulary]`, capped if the model does so.
fn place(spec: &ModelSpec, product: &[f32], tile: &Range<usize>, logits: &mut [f32]) {
    let rows = logits.par_chunks_mut(spec.vocabulary_size).zip(product.par_chunks(tile.len()));
    rows.for_each(|(logits, product)| {
        let logits = &mut logits[tile.clone()];
        logits.copy_from_slice(product);
        if let Some(cap) = spec.final_logit_softcap {
            logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
        }
    });
}
