//! How far an artifact is from its source on text that it was not calibrated on.

use std::path::Path;

use secateur_model::Checkpoint;
use serde::Serialize;

use crate::CompressError;
use crate::forward::{Forward, Residency};
use crate::measure::{Chunks, Estimate, MeasureError, Parent, divergence};
use crate::progress::Progress;

/// What is lost, measured by our forward pass: as llama-perplexity does, the second half of each chunk scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Tokens that were scored.
    pub scored_tokens: usize,
    /// Mean divergence from the source, in nats per token.
    pub divergence: Estimate,
    /// 99 of 100 tokens diverge no more.
    pub divergence_99: Estimate,
    /// Share of tokens for which both hold the same next token for the likeliest.
    pub same_top: Estimate,
    /// The source's perplexity.
    pub source_perplexity: Estimate,
    /// The artifact's.
    pub perplexity: Estimate,
}

/// Measures a written GGUF against its source on sequences of tokens, all of one length.
///
/// # Errors
/// If the source has no tokenizer, a model cannot be read, or the user interrupts.
pub(crate) fn quality(
    source: &Checkpoint,
    written: &Path,
    sequences: &[Vec<u32>],
    progress: &dyn Progress,
) -> Result<Option<Quality>, CompressError> {
    let (Some(tokenizer), Some(first)) = (&source.tokenizer, sequences.first()) else { return Ok(None) };
    let chunks = Chunks::of_tokens(tokenizer, &sequences.concat(), first.len(), None)?;
    let written = Checkpoint::open(written)?;
    let forward = |checkpoint| Forward::new(checkpoint, Residency::Stream).map_err(MeasureError::from);
    let (parent, child) = (forward(source)?, forward(&written)?);
    let compared = divergence(Parent::Model(&parent), &child, &chunks, None, progress)?;
    Ok(Some(Quality {
        scored_tokens: chunks.scored_tokens(),
        divergence: compared.divergence.mean(),
        divergence_99: compared.divergence.quantile(0.99),
        same_top: compared.divergence.same_top(),
        source_perplexity: compared.parent.perplexity(),
        perplexity: compared.child.perplexity(),
    }))
}
