//! A list of tokens to keep, as a file.

use std::collections::HashMap;
use std::path::Path;

use secateur_model::tokenizer::{TokenKind, Tokenizer};

use super::VocabularyError;

/// The ids of the tokens in a list: one a line, as spelled in the vocabulary (`Ġthe`, `▁the`), as it stands in a text
/// (` the`), or as an id. A line of digits alone is an id. Empty lines are passed over.
///
/// # Errors
/// When a line is no token, or the token of an earlier line, or there is no line.
pub fn read_keep_list(tokenizer: &Tokenizer, list: &str) -> Result<Vec<u32>, VocabularyError> {
    let by_spelling: HashMap<&str, u32> =
        (0..).zip(&tokenizer.tokens).map(|(id, token)| (token.text.as_str(), id)).collect();
    // bytes are named by their spelling: where a byte and a character are the same text, the character is meant
    let by_text: HashMap<Vec<u8>, u32> = (0..)
        .zip(&tokenizer.tokens)
        .filter(|(_, token)| !matches!(token.kind, TokenKind::Unused | TokenKind::Byte))
        .map(|(id, _)| (tokenizer.bytes_of(id), id))
        .collect();
    let id_of = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().filter(|&id: &u32| (id as usize) < tokenizer.tokens.len());
        }
        by_spelling.get(text).or_else(|| by_text.get(text.as_bytes())).copied()
    };
    let mut lines_of = HashMap::new();
    let mut ids = Vec::new();
    for (line, text) in numbered_lines(list) {
        let id = id_of(text).ok_or_else(|| VocabularyError::UnknownToken { line, text: text.to_owned() })?;
        if let Some(first) = lines_of.insert(id, line) {
            return Err(VocabularyError::TokenTwice { line, first, text: text.to_owned() });
        }
        ids.push(id);
    }
    if ids.is_empty() { Err(VocabularyError::EmptyList) } else { Ok(ids) }
}

/// The lines that are not empty, numbered from 1. Space is part of a token.
pub(super) fn numbered_lines(list: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(list.lines()).filter(|(_, line)| !line.is_empty())
}

/// Reads a list from a file, whole.
///
/// # Errors
/// When the file cannot be read or is not UTF-8.
pub fn read_list_file(path: &Path) -> Result<String, VocabularyError> {
    let bytes = std::fs::read(path)
        .map_err(|source| VocabularyError::Unreadable { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| VocabularyError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}
