//! How often texts use each token.

use rayon::prelude::*;
use secateur_model::tokenizer::{EncodeOptions, Encoder, Tokenizer};

use super::text::chunks;
use super::{NamedText, VocabularyError};
use crate::progress::{Progress, Silent};

/// Texts are tokenized as conversations are: the text of a special token is that token.
pub(super) const ENCODE: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };

/// One occurrence in the standing material weighs as much as this share of the texts.
const STANDING_SHARE: u64 = 10_000;

/// How often each token occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// In the texts, by id.
    texts: Vec<u64>,
    /// In what every use of the model needs, whatever the texts are: chat templates and printable ASCII.
    standing: Vec<u64>,
    total: u64,
}

impl Counts {
    /// Counts the tokens of texts, and those of chat templates, ASCII letters, digits and punctuation, each alone and
    /// after a space. `encoder` is that of `tokenizer`; `progress` is told bytes.
    ///
    /// # Errors
    /// When a text cannot be tokenized.
    pub fn new(
        tokenizer: &Tokenizer,
        encoder: &Encoder,
        texts: &[NamedText<'_>],
        progress: &dyn Progress,
    ) -> Result<Self, VocabularyError> {
        let tokens = tokenizer.tokens.len();
        let chunks: Vec<&str> = texts.iter().flat_map(|text| chunks(text.text)).collect();
        let texts = count(encoder, tokens, &chunks, progress)?;
        let total = texts.iter().sum();
        let ascii = standing_ascii();
        let standing: Vec<&str> = tokenizer.templates().chain(ascii.iter().map(String::as_str)).collect();
        Ok(Self { standing: count(encoder, tokens, &standing, &Silent)?, texts, total })
    }

    /// What is left when these sequences of tokens are taken out of the texts.
    pub(super) fn without(mut self, sequences: &[Vec<u32>]) -> Self {
        for &id in sequences.iter().flatten() {
            // the first token of a sequence may stand for another
            if let Some(count) = self.texts.get_mut(id as usize).filter(|count| **count > 0) {
                *count -= 1;
                self.total -= 1;
            }
        }
        self
    }

    /// Occurrences of a token in the texts.
    pub fn in_texts(&self, id: u32) -> u64 {
        self.texts.get(id as usize).copied().unwrap_or(0)
    }

    /// Occurrences of all tokens in the texts.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Occurrences in the texts of the tokens that a predicate holds for.
    pub(super) fn total_of(&self, mut wanted: impl FnMut(u32) -> bool) -> u64 {
        (0..).zip(&self.texts).filter(|&(id, _)| wanted(id)).map(|(_, count)| count).sum()
    }

    /// How much a token is wanted: its occurrences, with the standing material as if it were a fixed part of the texts.
    pub(super) fn weight(&self, id: u32) -> u64 {
        let standing = self.standing.get(id as usize).copied().unwrap_or(0);
        self.in_texts(id) + standing * (self.total / STANDING_SHARE).max(1)
    }
}

fn count(
    encoder: &Encoder,
    tokens: usize,
    texts: &[&str],
    progress: &dyn Progress,
) -> Result<Vec<u64>, VocabularyError> {
    let empty = || vec![0_u64; tokens];
    // sums of whole numbers are the same in any order
    texts
        .par_iter()
        .try_fold(empty, |mut counts, text| {
            for id in encoder.encode(text, ENCODE)? {
                counts[id as usize] += 1;
            }
            progress.advance(text.len() as u64);
            Ok(counts)
        })
        .try_reduce(empty, |mut left, right| {
            left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
            Ok(left)
        })
}

/// Printable ASCII characters, each alone and after a space.
fn standing_ascii() -> Vec<String> {
    ('!'..='~').flat_map(|character| [character.to_string(), format!(" {character}")]).collect()
}
