//! What a cut vocabulary is worth, as plain records.

use rayon::prelude::*;
use secateur_model::tokenizer::NewIds;
use serde::{Deserialize, Serialize};

use super::counts::ENCODE;
use super::gate::Ready;
use super::text::chunks;
use super::{GateCounts, NamedText, VocabularyError};
use crate::progress::Progress;

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
    /// Each text, in the order in which they were given, tokenized as they will be.
    pub texts: Vec<TextReport>,
}

/// What a cut vocabulary is worth on one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReport {
    /// What the text is called.
    pub name: String,
    /// Bytes of the text.
    pub bytes: u64,
    /// Tokens that the parent makes of it.
    pub tokens_before: u64,
    /// Those of them that are kept.
    pub tokens_kept: u64,
    /// Tokens that the new tokenizer makes of it.
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
}

/// Takes a text through both tokenizers.
pub(super) fn measure(
    parent: Ready<'_>,
    cut: Ready<'_>,
    new_ids: &NewIds,
    text: NamedText<'_>,
    progress: &dyn Progress,
) -> Result<TextReport, VocabularyError> {
    let counted = |chunk: &&str| -> Result<[u64; 3], VocabularyError> {
        let before = parent.encoder.encode(chunk, ENCODE)?;
        let kept = before.iter().filter(|&&id| new_ids.get(id).is_some()).count();
        let after = cut.encoder.encode(chunk, ENCODE)?;
        progress.advance(chunk.len() as u64);
        Ok([before.len() as u64, kept as u64, after.len() as u64])
    };
    let sum =
        |left: [u64; 3], right: [u64; 3]| Ok([left[0] + right[0], left[1] + right[1], left[2] + right[2]]);
    let [tokens_before, tokens_kept, tokens_after] =
        chunks(text.text).par_iter().map(counted).try_reduce(|| [0; 3], sum)?;
    Ok(TextReport {
        name: text.name.to_owned(),
        bytes: text.text.len() as u64,
        tokens_before,
        tokens_kept,
        tokens_after,
    })
}
