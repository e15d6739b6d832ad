//! What a cut vocabulary is worth, as plain records.

use rayon::prelude::*;
use secateur_model::tokenizer::{Encoder, NewIds, Tokenizer};
use serde::{Deserialize, Serialize};

use super::counts::ENCODE;
use super::gate::Ready;
use super::text::chunks;
use super::{GateCounts, NamedText, VocabularyError};

/// What a cut vocabulary is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VocabularyReport {
    /// Tokens of the parent.
    pub tokens_before: usize,
    /// Tokens that stay, with those that were added.
    pub tokens_after: usize,
    /// How many had to stay, whatever the texts.
    pub required: usize,
    /// How many were added.
    pub added: usize,
    /// What was compared before anything was written.
    pub gate: GateCounts,
    /// Each text, in the order in which they were given, tokenized with kept tokens alone.
    pub texts: Vec<TextReport>,
}

/// What a cut vocabulary is worth on one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReport {
    /// What the text is called.
    pub name: String,
    /// Bytes of the text.
    pub bytes: u64,
    /// Lines of the text.
    pub lines: u64,
    /// Tokens that the parent makes of it.
    pub tokens_before: u64,
    /// Those of them that are kept.
    pub tokens_kept: u64,
    /// Tokens that the cut tokenizer makes of it.
    pub tokens_after: u64,
}

impl TextReport {
    /// The share of token occurrences that are kept; 1 for a text without tokens.
    pub fn coverage(&self) -> f64 {
        if self.tokens_before == 0 { 1.0 } else { self.tokens_kept as f64 / self.tokens_before as f64 }
    }

    /// Mean bytes of a token before and after; `None` for a text without tokens.
    pub fn bytes_per_token(&self) -> Option<(f64, f64)> {
        let per = |tokens: u64| (tokens > 0).then(|| self.bytes as f64 / tokens as f64);
        Some((per(self.tokens_before)?, per(self.tokens_after)?))
    }

    /// Mean tokens of a line before and after; `None` for a text without lines.
    pub fn tokens_per_line(&self) -> Option<(f64, f64)> {
        let per = |tokens: u64| (self.lines > 0).then(|| tokens as f64 / self.lines as f64);
        Some((per(self.tokens_before)?, per(self.tokens_after)?))
    }
}

/// How much of a model its vocabulary is: rows of the embedding, and of the head where that is a matrix of its own.
///
/// Below a fifth is a good share for small models ("Rethinking Optimization and Architecture for Tiny Language Models").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingShare {
    /// Parameters of embedding and head before.
    pub embedding_before: u64,
    /// All parameters before.
    pub total_before: u64,
    /// Parameters of embedding and head after.
    pub embedding_after: u64,
    /// All parameters after.
    pub total_after: u64,
}

impl EmbeddingShare {
    /// Of a model with `total` parameters, of which each of `before` tokens has `hidden_size` in the embedding, and as
    /// many in the head unless the two are `tied`; `after` tokens are left.
    pub fn new(total: u64, hidden_size: usize, tied: bool, before: usize, after: usize) -> Self {
        let per_token = hidden_size as u64 * if tied { 1 } else { 2 };
        let (embedding_before, embedding_after) = (before as u64 * per_token, after as u64 * per_token);
        let body = total.saturating_sub(embedding_before);
        Self { embedding_before, total_before: total, embedding_after, total_after: body + embedding_after }
    }

    /// The share of all parameters before.
    pub fn before(&self) -> f64 {
        self.embedding_before as f64 / self.total_before as f64
    }

    /// The share of all parameters after.
    pub fn after(&self) -> f64 {
        self.embedding_after as f64 / self.total_after as f64
    }
}

/// What the tokenizer `cut`, which keeps the tokens `kept` of `parent`, is worth on a text, for example one that was not
/// counted.
///
/// # Errors
/// When the parts of a tokenizer disagree, or the text cannot be tokenized.
pub fn report_text(
    parent: &Tokenizer,
    cut: &Tokenizer,
    kept: &[u32],
    text: NamedText<'_>,
) -> Result<TextReport, VocabularyError> {
    let new_ids = NewIds::new(kept, parent.tokens.len())?;
    let (parents, cuts) = (Encoder::new(parent)?, Encoder::new(cut)?);
    let parent = Ready { tokenizer: parent, encoder: &parents };
    measure(parent, Ready { tokenizer: cut, encoder: &cuts }, &new_ids, text)
}

/// Takes a text through both tokenizers.
pub(super) fn measure(
    parent: Ready<'_>,
    cut: Ready<'_>,
    new_ids: &NewIds,
    text: NamedText<'_>,
) -> Result<TextReport, VocabularyError> {
    let counted = |chunk: &&str| -> Result<[u64; 3], VocabularyError> {
        let before = parent.encoder.encode(chunk, ENCODE)?;
        let kept = before.iter().filter(|&&id| new_ids.get(id).is_some()).count();
        let after = cut.encoder.encode(chunk, ENCODE)?;
        Ok([before.len() as u64, kept as u64, after.len() as u64])
    };
    let sum =
        |left: [u64; 3], right: [u64; 3]| Ok([left[0] + right[0], left[1] + right[1], left[2] + right[2]]);
    let [tokens_before, tokens_kept, tokens_after] =
        chunks(text.text).par_iter().map(counted).try_reduce(|| [0; 3], sum)?;
    Ok(TextReport {
        name: text.name.to_owned(),
        bytes: text.text.len() as u64,
        lines: text.text.lines().count() as u64,
        tokens_before,
        tokens_kept,
        tokens_after,
    })
}
