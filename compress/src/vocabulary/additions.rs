//! Tokens that a vocabulary gets on top.

use std::collections::HashMap;

use secateur_model::tokenizer::{Encoder, Tokenizer};

use super::VocabularyError;
use super::counts::ENCODE;
use super::keep_list::numbered_lines;

/// Tokens to add, each with the line that asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    lines: Vec<(usize, String)>,
}

impl Additions {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// A token that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// Its text.
    pub text: String,
    /// The tokens of the parent that stood for it, in the parent's ids.
    pub pieces: Vec<u32>,
}

/// The tokens in a list, one a line, as they stand in texts; space is part of a token, empty lines are passed over.
///
/// # Errors
/// When a line is there twice, or there is none.
pub fn read_additions(list: &str) -> Result<Additions, VocabularyError> {
    let mut lines_of = HashMap::new();
    let mut lines = Vec::new();
    for (line, text) in numbered_lines(list) {
        if let Some(first) = lines_of.insert(text, line) {
            return Err(VocabularyError::TokenTwice { line, first, text: text.to_owned() });
        }
        lines.push((line, text.to_owned()));
    }
    if lines.is_empty() { Err(VocabularyError::EmptyList) } else { Ok(Additions { lines }) }
}

/// The tokenizer `cut` with user-defined tokens after its own, which are found in any text before it is merged. Their
/// pieces are those that `parent` makes of them, in its ids.
///
/// # Errors
/// When one of them is a token of the parent already, or the tokenizer is one that puts a space after such tokens.
pub fn add_tokens(
    parent: &Tokenizer,
    cut: &Tokenizer,
    additions: &Additions,
) -> Result<(Tokenizer, Vec<AddedToken>), VocabularyError> {
    if additions.is_empty() {
        return Ok((cut.clone(), Vec::new()));
    }
    if parent.adds_space_prefix() {
        return Err(VocabularyError::AddedSpace);
    }
    let encoder = Encoder::new(parent)?;
    let mut added = Vec::with_capacity(additions.len());
    for (line, text) in &additions.lines {
        let pieces = encoder.encode(text, ENCODE)?;
        if let [id] = pieces[..] {
            return Err(VocabularyError::AlreadyToken { line: *line, text: text.clone(), id });
        }
        added.push(AddedToken { text: text.clone(), pieces });
    }
    let texts: Vec<&str> = added.iter().map(|token| token.text.as_str()).collect();
    Ok((cut.with_user_defined(&texts)?, added))
}
