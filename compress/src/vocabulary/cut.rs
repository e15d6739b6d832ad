//! A vocabulary cut from beginning to end.

use secateur_model::tokenizer::{Encoder, NewIds, Tokenizer};

use super::additions::{AddedToken, Additions, add_tokens};
use super::choose::{Target, choose};
use super::counts::Counts;
use super::gate::{Ready, check, makings};
use super::report::{VocabularyReport, measure};
use super::{NamedText, VocabularyError};
use crate::progress::Progress;

/// A cut vocabulary.
#[derive(Debug, Clone)]
pub struct VocabularyCut {
    /// The ids of the tokens that stay, ascending: row `i` of the new embedding (and head) is row `kept[i]` of the old.
    pub kept: Vec<u32>,
    /// The tokens that come after them, in order. The new row of each is the mean of the old rows of its pieces.
    pub added: Vec<AddedToken>,
    /// The tokenizer of both.
    pub tokenizer: Tokenizer,
    /// What it is worth.
    pub report: VocabularyReport,
}

/// Cuts the vocabulary of a tokenizer: counts, chooses, checks, adds, measures. `expected` is what a model [expects](super::expected_use), or nothing.
///
/// # Errors
/// See [`choose`](super::choose()), [`add_tokens`](super::add_tokens); the gate, when the smaller tokenizer does not do what the larger does.
pub fn cut(
    parent: &Tokenizer,
    texts: &[NamedText<'_>],
    target: &Target,
    expected: &[f32],
    additions: &Additions,
    progress: &dyn Progress,
) -> Result<VocabularyCut, VocabularyError> {
    let bytes: u64 = texts.iter().map(|text| text.text.len() as u64).sum();
    progress.begin("counting tokens", bytes);
    let encoder = Encoder::new(parent)?;
    let counts = Counts::new(parent, &encoder, texts, progress)?.expecting(expected);
    let making = makings(parent)?;
    let chosen = choose(parent, &making, &counts, target, additions.len())?;
    let smaller = parent.keep(&chosen.kept)?;

    let smaller_encoder = Encoder::new(&smaller)?;
    let before = Ready { tokenizer: parent, encoder: &encoder };
    let after = Ready { tokenizer: &smaller, encoder: &smaller_encoder };
    // of long texts the gate looks at some lines only
    progress.begin("comparing tokenizers", 2 * bytes);
    let gate = check(before, after, &chosen.kept, &making, texts, progress)?;
    let new_ids = NewIds::new(&chosen.kept, parent.tokens.len())?;
    let (tokenizer, added) = add_tokens(parent, &smaller, additions)?;
    let encoder = Encoder::new(&tokenizer)?;
    let after = Ready { tokenizer: &tokenizer, encoder: &encoder };
    let texts = texts
        .iter()
        .map(|&text| measure(before, after, &new_ids, text, progress))
        .collect::<Result<_, _>>()?;
    let report = VocabularyReport {
        tokens_before: parent.tokens.len(),
        tokens_after: tokenizer.tokens.len(),
        required: chosen.required,
        added: added.len(),
        gate,
        texts,
    };
    Ok(VocabularyCut { kept: chosen.kept, added, tokenizer, report })
}
