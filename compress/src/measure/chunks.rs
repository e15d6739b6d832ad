//! A text in chunks, cut and scored as llama-perplexity does it.
//!
//! The tokens of the whole text are cut into chunks of `context`; what is left at the end is dropped. Each chunk passes the model on
//! its own, its first token replaced by the begin-of-sequence token where the tokenizer adds one. The first half only gives
//! context: scored are the predictions at the positions from `context / 2` to the last but one, each for the token that follows.

use std::ops::Range;

use secateur_model::Tokenizer;
use secateur_model::tokenizer::{EncodeOptions, Encoder, Special};

use super::MeasureError;

/// llama-perplexity's default context, in tokens.
pub const CONTEXT: usize = 512;

/// A text, cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    pub(super) context: usize,
    /// Replaces the first token of each chunk.
    pub(super) bos: Option<u32>,
    pub(super) all: Vec<Chunk>,
}

/// A chunk of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// As the text has them.
    pub tokens: Vec<u32>,
    /// The first token that is scored; the others follow it.
    pub first_target: usize,
    /// Bytes that the scored tokens spell.
    pub scored_bytes: u64,
}

impl Chunks {
    /// Cuts a text into chunks of `context` tokens, at most `limit` of them.
    ///
    /// # Errors
    /// If the text is shorter than a chunk or cannot be tokenized.
    pub fn of_text(
        tokenizer: &Tokenizer,
        text: &str,
        context: usize,
        limit: Option<usize>,
    ) -> Result<Self, MeasureError> {
        Self::of_tokens(tokenizer, &tokens_of(tokenizer, text)?, context, limit)
    }

    /// Cuts the tokens of a text.
    ///
    /// # Errors
    /// If there are fewer than a chunk has, or one is not in the vocabulary.
    pub fn of_tokens(
        tokenizer: &Tokenizer,
        tokens: &[u32],
        context: usize,
        limit: Option<usize>,
    ) -> Result<Self, MeasureError> {
        if context < 4 {
            return Err(MeasureError::ShortContext { context });
        }
        if tokens.len() < context {
            return Err(MeasureError::ShortText { tokens: tokens.len(), context });
        }
        let vocabulary_size = tokenizer.tokens.len();
        if let Some(position) = tokens.iter().position(|&token| token as usize >= vocabulary_size) {
            return Err(MeasureError::UnknownToken { token: tokens[position], position, vocabulary_size });
        }
        let chunk = |tokens: &[u32]| Chunk::new(tokenizer, tokens.to_vec(), context / 2 + 1);
        let all = tokens.chunks_exact(context).take(limit.unwrap_or(usize::MAX)).map(chunk).collect();
        Ok(Self { context, bos: bos_of(tokenizer), all })
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there is nothing to measure.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tokens of a chunk.
    pub fn context(&self) -> usize {
        self.context
    }

    /// All tokens, as the text has them.
    pub fn tokens(&self) -> impl Iterator<Item = u32> {
        self.all.iter().flat_map(|chunk| chunk.tokens.iter().copied())
    }

    /// Tokens that are scored.
    pub fn scored_tokens(&self) -> usize {
        self.all.iter().map(|chunk| chunk.targets().len()).sum()
    }

    /// A chunk as the model sees it.
    pub(super) fn seen(&self, chunk: &Chunk) -> Vec<u32> {
        let mut seen = chunk.tokens.clone();
        if let (Some(first), Some(bos)) = (seen.first_mut(), self.bos) {
            *first = bos;
        }
        seen
    }
}

impl Chunk {
    pub fn new(tokenizer: &Tokenizer, tokens: Vec<u32>, first_target: usize) -> Self {
        let targets = &tokens[first_target..];
        let scored_bytes = targets.iter().map(|&token| tokenizer.bytes_of(token).len() as u64).sum();
        Self { tokens, first_target, scored_bytes }
    }

    /// The tokens that are scored.
    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.first_target..]
    }

    /// The tokens that follow positions.
    pub fn after(&self, positions: &Range<usize>) -> &[u32] {
        self.tokens.get(positions.start + 1..=positions.end).unwrap_or_default()
    }

    /// The positions after which they are predicted.
    pub fn positions(&self) -> Range<usize> {
        self.first_target.saturating_sub(1)..self.tokens.len().saturating_sub(1)
    }
}

/// The tokens of a text: with what the tokenizer puts before it, without what it puts after it.
pub(super) fn tokens_of(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, MeasureError> {
    let options = EncodeOptions { add_special: true, parse_special: false };
    let mut tokens = Encoder::new(tokenizer)?.encode(text, options)?;
    if tokenizer.adds_eos() {
        tokens.pop();
    }
    Ok(tokens)
}

pub(super) fn bos_of(tokenizer: &Tokenizer) -> Option<u32> {
    if tokenizer.adds_bos() { tokenizer.special(Special::BeginOfSequence) } else { None }
}
