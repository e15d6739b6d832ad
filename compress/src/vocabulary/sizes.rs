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
}

/// Texts as a search for vocabularies sees them: counted in eighths, the first of all texts, the second, and so on. An eighth is of one place, as names that
/// a text speaks of come again and again there.
pub struct CountedTexts<'t> {
    parent: &'t Tokenizer,
    making: Vec<Making>,
    parts: Vec<Counts>,
    expected: &'t [f32],
}

impl<'t> CountedTexts<'t> {
    /// Counts texts in the tokens of `parent`; `expected` is what a model [expects](super::expected_use) in texts like these.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub fn new(
        parent: &'t Tokenizer,
        texts: &[NamedText<'_>],
        expected: &'t [f32],
        progress: &dyn Progress,
    ) -> Result<Self, VocabularyError> {
        progress.begin("counting tokens", texts.iter().map(|text| text.text.len() as u64).sum());
        let encoder = Encoder::new(parent)?;
        let cut: Vec<Vec<&str>> = texts.iter().map(|text| parts(text.text, PARTS)).collect();
        let part = |number: usize| {
            let named = texts.iter().zip(&cut);
            let named = named.filter_map(|(text, cut)| Some(NamedText { text: cut.get(number)?, ..*text }));
            Counts::new(parent, &encoder, &named.collect::<Vec<_>>(), progress)
        };
        let parts = (0..PARTS).map(part).collect::<Result<_, _>>()?;
        Ok(Self { parent, making: makings(parent)?, parts, expected })
    }

    /// The tokenizer that tokens are chosen of.
    pub fn parent(&self) -> &'t Tokenizer {
        self.parent
    }

    /// For each of `sizes` the tokens that the texts use and the model expects most; what is no smaller than the vocabulary is left out, and unless all sizes
    /// `must_fit`, what is smaller than what must stay.
    ///
    /// What `unseen` (sequences of token ids out of the texts) has is not counted, so that a vocabulary can be tried there.
    ///
    /// # Errors
    /// If nothing is left to choose by, or a size that must fit does not.
    pub fn vocabularies(
        &self,
        unseen: &[Vec<u32>],
        sizes: &[usize],
        must_fit: bool,
    ) -> Result<Vec<SmallerVocabulary>, VocabularyError> {
        let counts = Counts::sum(&self.parts).without(unseen).expecting(self.expected);
        let mut smaller: Vec<SmallerVocabulary> = Vec::new();
        for &size in sizes {
            let kept = match self.chosen(&counts, size) {
                Ok(kept) => kept,
                Err(VocabularyError::TooSmall { .. } | VocabularyError::TooLarge { .. }) if !must_fit => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let is_new = smaller.last().is_none_or(|last| last.kept != kept);
            if is_new && kept.len() < self.parent.tokens.len() {
                let tokenizer = self.parent.keep(&kept)?;
                smaller.push(SmallerVocabulary { kept, tokenizer });
            }
        }
        Ok(smaller)
    }

    /// The share of tokens in other texts of the kind that a vocabulary of this size lacks: the mean over eighths of the texts, each held against a vocabulary
    /// that the other seven chose. `None` where texts have too few lines for that.
    pub fn lacking(&self, size: usize) -> Option<f64> {
        let lacking = |part: usize| -> Option<[u64; 2]> {
            let others = self.parts.iter().enumerate().filter(|&(other, _)| other != part);
            let others = Counts::sum(others.map(|(_, counts)| counts)).expecting(self.expected);
            // nothing to choose by, or more than this size must stay
            let kept = self.chosen(&others, size).ok()?;
            let counts = &self.parts[part];
            Some([counts.total_of(|id| kept.binary_search(&id).is_err()), counts.total()])
        };
        let add = |one: [u64; 2], other: [u64; 2]| [one[0] + other[0], one[1] + other[1]];
        let parts = (0..self.parts.len()).into_par_iter().filter_map(lacking);
        let [lacking, all] = parts.reduce(|| [0; 2], add);
        (all > 0).then(|| lacking as f64 / all as f64)
    }

    fn chosen(&self, counts: &Counts, size: usize) -> Result<Vec<u32>, VocabularyError> {
        Ok(choose(self.parent, &self.making, counts, &Target::Size(size), 0)?.kept)
    }
}
