//! Vocabularies of several sizes along one order of use, none of which has seen some of the text.

use rayon::prelude::*;
use secateur_model::tokenizer::{Encoder, Making, Tokenizer};

use super::choose::{Target, choose};
use super::counts::Counts;
use super::gate::makings;
use super::text::parts;
use super::{NamedText, VocabularyError};
use crate::progress::Progress;

/// Parts of the texts, each of which is held against a vocabulary of the others.
const PARTS: usize = 8;

/// Tokens that stay, and the tokenizer of them.
#[derive(Debug, Clone)]
pub struct SmallerVocabulary {
    /// Ids of the tokens that stay, ascending.
    pub kept: Vec<u32>,
    /// The tokenizer of these.
    pub tokenizer: Tokenizer,
    /// The share of tokens in other texts of the kind that such a vocabulary lacks: the mean over eighths of the texts, for a vocabulary of as many
    /// tokens that was chosen by the other seven. `None` where texts have too few lines for that.
    pub lacks: Option<f64>,
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
    let parts = counts_of_parts(parent, &encoder, texts, progress)?;
    let counts = Counts::sum(parts.iter()).without(unseen).expecting(expected);
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
            let lacks = lacks(parent, &making, &parts, expected, kept.len());
            smaller.push(SmallerVocabulary { kept, tokenizer, lacks });
        }
    }
    Ok(smaller)
}

/// Counts of the first eighths of all texts, of the second, and so on. An eighth is of one place, as names that a text speaks of come again and again there.
fn counts_of_parts(
    parent: &Tokenizer,
    encoder: &Encoder,
    texts: &[NamedText<'_>],
    progress: &dyn Progress,
) -> Result<Vec<Counts>, VocabularyError> {
    let cut: Vec<Vec<&str>> = texts.iter().map(|text| parts(text.text, PARTS)).collect();
    let part = |number: usize| {
        let named = texts.iter().zip(&cut);
        let named = named.filter_map(|(text, cut)| Some(NamedText { text: cut.get(number)?, ..*text }));
        Counts::new(parent, encoder, &named.collect::<Vec<_>>(), progress)
    };
    (0..PARTS).map(part).collect()
}

fn lacks(
    parent: &Tokenizer,
    making: &[Making],
    parts: &[Counts],
    expected: &[f32],
    size: usize,
) -> Option<f64> {
    let missing = |part: usize| -> Option<[u64; 2]> {
        let others = parts.iter().enumerate().filter(|&(other, _)| other != part).map(|(_, counts)| counts);
        let others = Counts::sum(others).expecting(expected);
        // nothing to choose by, or more than this size must stay
        let chosen = choose(parent, making, &others, &Target::Size(size), 0).ok()?;
        let missing = parts[part].total_of(|id| chosen.kept.binary_search(&id).is_err());
        Some([missing, parts[part].total()])
    };
    let add = |one: [u64; 2], other: [u64; 2]| [one[0] + other[0], one[1] + other[1]];
    let [missing, all] = (0..parts.len()).into_par_iter().filter_map(missing).reduce(|| [0; 2], add);
    (all > 0).then(|| missing as f64 / all as f64)
}
