//! Vocabularies of several sizes along one order of use, none of which has seen some of the text.

use secateur_model::tokenizer::{Encoder, Tokenizer};

use super::choose::{Target, choose};
use super::counts::Counts;
use super::gate::makings;
use super::{NamedText, VocabularyError};
use crate::progress::Progress;

/// Tokens that stay, and the tokenizer of them.
#[derive(Debug, Clone)]
pub struct SmallerVocabulary {
    /// Ids of the tokens that stay, ascending.
    pub kept: Vec<u32>,
    /// The tokenizer of these.
    pub tokenizer: Tokenizer,
}

/// For each of `sizes` the tokens that texts use and a model [expects](super::expected_use) most; what is no smaller than the vocabulary is left out, and unless all sizes `must_fit`,
/// what is smaller than what must stay.
///
/// What `unseen` (sequences of token ids out of the texts) has is not counted, so that a vocabulary can be tried there.
///
/// # Errors
/// If nothing is left to count, a text cannot be tokenized, or a size that must fit does not.
pub fn smaller_vocabularies(
    parent: &Tokenizer,
    texts: &[NamedText<'_>],
    unseen: &[Vec<u32>],
    expected: &[f32],
    sizes: &[usize],
    must_fit: bool,
    progress: &dyn Progress,
) -> Result<Vec<SmallerVocabulary>, VocabularyError> {
    progress.begin("counting tokens", texts.iter().map(|text| text.text.len() as u64).sum());
    let encoder = Encoder::new(parent)?;
    let counts = Counts::new(parent, &encoder, texts, progress)?.without(unseen).expecting(expected);
    let making = makings(parent)?;
    let mut smaller: Vec<SmallerVocabulary> = Vec::new();
    for &size in sizes {
        let kept = match choose(parent, &making, &counts, &Target::Size(size), 0) {
            Ok(chosen) => chosen.kept,
            Err(VocabularyError::TooSmall { .. } | VocabularyError::TooLarge { .. }) if !must_fit => continue,
            Err(error) => return Err(error),
        };
        let is_new = smaller.last().is_none_or(|last| last.kept != kept);
        if is_new && kept.len() < parent.tokens.len() {
            let tokenizer = parent.keep(&kept)?;
            smaller.push(SmallerVocabulary { kept, tokenizer });
        }
    }
    Ok(smaller)
}
