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

/// So much of what is expected goes by rank instead of the model: less of what neither the texts nor the model speak of is lost then (docs/vocabulary.md).
const BY_RANK: f64 = 0.03;
/// Ranks begin here: the first tokens are bytes and special ones.
const FIRST_RANK: f64 = 100.0;

/// What is expected is told apart down to one occurrence in so many.
const PARTS: u64 = 1_000_000;

/// How often each token occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// In the texts, by id.
    texts: Vec<u64>,
    /// In what every use of the model needs, whatever the texts are: chat templates and printable ASCII.
    standing: Vec<u64>,
    /// In as much text as the texts are, as a model expects it: in parts of an occurrence. Empty if none was asked.
    expected: Vec<u64>,
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
        Ok(Self { standing: count(encoder, tokens, &standing, &Silent)?, texts, expected: Vec::new(), total })
    }

    /// Those of all parts of some texts.
    pub(super) fn sum<'c>(parts: impl IntoIterator<Item = &'c Self>) -> Self {
        let mut sum = Self { texts: Vec::new(), standing: Vec::new(), expected: Vec::new(), total: 0 };
        for part in parts {
            sum.texts.resize(part.texts.len(), 0);
            sum.texts.iter_mut().zip(&part.texts).for_each(|(sum, count)| *sum += count);
            sum.total += part.total;
            sum.standing.clone_from(&part.standing);
        }
        sum
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

    /// With what a model [expects](super::expected_use): the share of each token.
    #[must_use]
    pub fn expecting(mut self, shares: &[f32]) -> Self {
        let occurrences = (self.total * PARTS) as f64;
        // tokens were learnt the most frequent first, so ids are ranks, and uses fall with them as Zipf's law says
        let by_rank: Vec<f64> = (0..shares.len()).map(|id| 1.0 / (FIRST_RANK + id as f64)).collect();
        let all = by_rank.iter().sum::<f64>();
        let share =
            |(share, by_rank): (&f32, f64)| (1.0 - BY_RANK) * f64::from(*share) + BY_RANK * by_rank / all;
        self.expected =
            shares.iter().zip(by_rank).map(|both| (share(both) * occurrences).round() as u64).collect();
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

    /// How much a token is wanted for texts like these: its weight and, with that, what is expected of it, in parts of an occurrence.
    pub(super) fn wanted(&self, id: u32) -> u64 {
        self.weight(id) * PARTS + self.expected.get(id as usize).copied().unwrap_or(0)
    }

    /// How much a token is wanted for the texts: its occurrences, with the standing material as if it were a fixed part of the texts.
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
