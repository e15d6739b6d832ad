//! Byte-level BPE from tokenizer.json.

use super::added;
use super::files::Folder;
use super::json::{AddedToken, TokenizerJson};
use super::{Places, Token, TokenKind, TokenizerError, TokenizerKind};
use crate::tokenizer::byte_alphabet::bytes_of_text;
use crate::tokenizer::pre_tokenizer;

pub(super) fn read(
    json: &TokenizerJson,
    folder: &Folder,
    vocabulary_size: usize,
) -> Result<(TokenizerKind, Vec<Token>), TokenizerError> {
    let known = pre_tokenizer::recognize(&json.pre_tokenizer, json.model.ignore_merges)?;
    let mut places = Places::new(vocabulary_size);
    for (text, &id) in &json.model.vocab {
        places.put(id, Token { text: text.clone(), score: 0.0, kind: TokenKind::Normal })?;
    }
    for added in added::of_both_files(folder)? {
        if added.id as usize >= vocabulary_size {
            return Err(TokenizerError::Vocabulary {
                tokenizer: added.id as usize + 1,
                model: vocabulary_size,
            });
        }
        places.cover(added.id, token(&added));
    }
    let kind = TokenizerKind::BytePair { pre_tokenizer: known.name.to_owned(), merges: json.merges()? };
    Ok((kind, places.filled(0.0)))
}

/// An added token as llama.cpp looks for it. Tokens that stand for bytes in the byte alphabet are spelled out.
fn token(added: &AddedToken) -> Token {
    let text = match bytes_of_text(&added.content).map(String::from_utf8) {
        Some(Ok(text)) if !added.normalized => text,
        _ => added.content.clone(),
    };
    let written = AddedToken { content: text, ..added.clone() };
    if written.is_control() {
        Token { text: written.content, score: 0.0, kind: TokenKind::Control }
    } else {
        Token { text: written.plain_text(), score: 0.0, kind: TokenKind::UserDefined }
    }
}
