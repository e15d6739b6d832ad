//! The gate before anything is written: the cut tokenizer must do what the parent does.

use rayon::prelude::*;
use secateur_model::tokenizer::{Encoder, Making, NewIds, Replay, Tokenizer};
use serde::{Deserialize, Serialize};

use super::counts::ENCODE;
use super::{NamedText, VocabularyError};
use crate::progress::Progress;

/// Lines that are looked at, spread evenly over longer texts.
const MOST_LINES: usize = 100_000;

/// What was looked at. There is no count of failures: one is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateCounts {
    /// Lines that both tokenizers were given; each decodes to the same text in both.
    pub lines: usize,
    /// Those of them that the parent spells with kept tokens alone; each has the same tokens in both.
    pub lines_of_kept_tokens: usize,
    /// Kept tokens, each of which is made of the same tokens in both.
    pub tokens: usize,
}

/// A tokenizer with its encoder.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) encoder: &'a Encoder,
}

/// How each token of a vocabulary is made.
pub(super) fn makings(tokenizer: &Tokenizer) -> Result<Vec<Making>, VocabularyError> {
    let replay = Replay::new(tokenizer)?;
    Ok((0..tokenizer.tokens.len() as u32).into_par_iter().map(|id| replay.making(id)).collect())
}

/// Compares the tokenizer `cut`, which keeps the tokens `kept` of `parent`, with it; `making` tells of each of the parent's tokens what it is made of. Of each line, up to 100,000:
/// - if the parent has kept tokens alone, the cut tokenizer has the same;
/// - in any case, what it has decodes to what the parent's tokens decode to, which is the line itself.
///
/// And of each kept token: it is made of the same tokens.
///
/// # Errors
/// The first line or token of which this is not true, or a text that cannot be tokenized.
pub(super) fn check(
    parent: Ready<'_>,
    cut: Ready<'_>,
    kept: &[u32],
    making: &[Making],
    texts: &[NamedText<'_>],
    progress: &dyn Progress,
) -> Result<GateCounts, VocabularyError> {
    let new_ids = NewIds::new(kept, parent.tokenizer.tokens.len())?;
    check_makings(cut.tokenizer, kept, making, &new_ids)?;
    let lines = lines(texts);
    let look = |line: &Line| {
        let seen = look(parent, cut, &new_ids, line);
        progress.advance(line.text.len() as u64);
        seen
    };
    let seen: Vec<Seen> = lines.par_iter().map(look).collect::<Result<_, _>>()?;
    let failed = seen.iter().position(|seen| seen.found.is_err());
    if let Some((line, Seen { found: Err(failure), .. })) = failed.map(|index| (lines[index], &seen[index])) {
        let failures = seen.iter().filter(|seen| seen.found.is_err()).count();
        return Err(failure.clone().into_error(line, failures));
    }
    Ok(GateCounts {
        lines: lines.len(),
        lines_of_kept_tokens: seen.iter().filter(|seen| seen.all_kept).count(),
        tokens: kept.len(),
    })
}

/// What merging made of some tokens, it still makes of the same. This is what the guarantee for all texts rests on; tokens
/// that are found as a whole, or never were, may now come from merging, too.
fn check_makings(
    cut: &Tokenizer,
    kept: &[u32],
    making: &[Making],
    new_ids: &NewIds,
) -> Result<(), VocabularyError> {
    let after = makings(cut)?;
    let new = |part: Option<u32>| part.and_then(|part| new_ids.get(part));
    for ((&old, &after), token) in kept.iter().zip(&after).zip(&cut.tokens) {
        let as_before = match making[old as usize] {
            Making::Merge { left, right } => {
                let (new_left, new_right) = (new(left), new(right));
                let parts_stay =
                    (left.is_some(), right.is_some()) == (new_left.is_some(), new_right.is_some());
                parts_stay && after == Making::Merge { left: new_left, right: new_right }
            }
            Making::Symbol => after == Making::Symbol,
            Making::Whole | Making::Never => true,
        };
        if !as_before {
            return Err(VocabularyError::MadeOtherwise { id: old, text: token.text.clone() });
        }
    }
    Ok(())
}

/// A line with its end, and where it is.
#[derive(Clone, Copy)]
struct Line<'a> {
    name: &'a str,
    number: usize,
    text: &'a str,
}

fn lines<'a>(texts: &[NamedText<'a>]) -> Vec<Line<'a>> {
    let lines: Vec<Line<'a>> = texts
        .iter()
        .flat_map(|&NamedText { name, text }| {
            (1..).zip(text.split_inclusive('\n')).map(move |(number, text)| Line { name, number, text })
        })
        .collect();
    let taken = lines.len().min(MOST_LINES);
    (0..taken).map(|index| lines[index * lines.len() / taken]).collect()
}

struct Seen {
    all_kept: bool,
    found: Result<(), Failure>,
}

#[derive(Clone)]
enum Failure {
    Pieces { expected: Vec<String>, found: Vec<String> },
    Text { expected: String, found: String },
}

impl Failure {
    fn into_error(self, line: Line<'_>, failures: usize) -> VocabularyError {
        let (name, line) = (line.name.to_owned(), line.number);
        match self {
            Self::Pieces { expected, found } => {
                VocabularyError::OtherPieces { name, line, expected, found, failures }
            }
            Self::Text { expected, found } => {
                VocabularyError::OtherText { name, line, expected, found, failures }
            }
        }
    }
}

fn look(
    parent: Ready<'_>,
    cut: Ready<'_>,
    new_ids: &NewIds,
    line: &Line<'_>,
) -> Result<Seen, VocabularyError> {
    let before = parent.encoder.encode(line.text, ENCODE)?;
    let after = cut.encoder.encode(line.text, ENCODE)?;
    let expected = new_ids.all(&before);
    let all_kept = expected.is_some();
    let spelled = |tokenizer: &Tokenizer, ids: &[u32]| {
        ids.iter().map(|&id| tokenizer.tokens[id as usize].text.clone()).collect()
    };
    if let Some(expected) = expected.filter(|expected| *expected != after) {
        let expected = spelled(cut.tokenizer, &expected);
        let found = spelled(cut.tokenizer, &after);
        return Ok(Seen { all_kept, found: Err(Failure::Pieces { expected, found }) });
    }
    let expected = parent.tokenizer.decode(&before, true)?;
    let found = cut.tokenizer.decode(&after, true)?;
    let same = expected == found;
    Ok(Seen { all_kept, found: if same { Ok(()) } else { Err(Failure::Text { expected, found }) } })
}
