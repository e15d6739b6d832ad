//! SentencePiece from tokenizer.model, or from the BPE with byte fallback that tokenizer.json makes of it.

use std::collections::HashMap;

use super::added;
use super::files::{ADDED_TOKENS, Folder};
use super::json::{AddedToken, TokenizerJson};
use super::model_file::ModelFile;
use super::{Places, Token, TokenKind, TokenizerError};
use crate::tokenizer::byte_alphabet::byte_of_token;

/// The score of tokens that merges do not lead to; SentencePiece's own are above.
const ADDED_SCORE: f32 = -1000.0;
const PADDING_SCORE: f32 = -10000.0;

/// From tokenizer.model.
pub(super) fn from_model(
    model: &ModelFile,
    folder: &Folder,
    vocabulary_size: usize,
) -> Result<Vec<Token>, TokenizerError> {
    let mut places = Places::new(vocabulary_size);
    for (id, piece) in (0..).zip(&model.pieces) {
        let token = match piece.kind {
            TokenKind::UserDefined => token(AddedToken::user_defined(id, &piece.text)),
            _ => piece.clone(),
        };
        places.put(id, token)?;
    }
    if let Some(added) = folder.added_tokens.as_object() {
        for (text, id) in added {
            let id: u32 = serde_json::from_value(id.clone())
                .map_err(|source| TokenizerError::Json { file: ADDED_TOKENS, source })?;
            let token = Token { text: text.clone(), score: ADDED_SCORE, kind: TokenKind::UserDefined };
            places.cover(id, token);
        }
    }
    cover_added(&mut places, folder)?;
    Ok(places.filled(PADDING_SCORE))
}

/// From tokenizer.json alone.
pub(super) fn from_json(
    json: &TokenizerJson,
    folder: &Folder,
    vocabulary_size: usize,
) -> Result<Vec<Token>, TokenizerError> {
    let mut places = Places::new(vocabulary_size);
    let scores = scores(json)?;
    for (text, &id) in &json.model.vocab {
        let kind = if json.model.unk_token.as_ref() == Some(text) {
            TokenKind::Unknown
        } else if byte_of_token(text).is_some() {
            TokenKind::Byte
        } else {
            TokenKind::Normal
        };
        let score = if kind == TokenKind::Normal { scores[text.as_str()] } else { 0.0 };
        places.put(id, Token { text: text.clone(), score, kind })?;
    }
    cover_added(&mut places, folder)?;
    Ok(places.filled(PADDING_SCORE))
}

/// Puts the added tokens over the vocabulary: those of `added_tokens_decoder`, else those of tokenizer.json.
fn cover_added(places: &mut Places, folder: &Folder) -> Result<(), TokenizerError> {
    let tokens = match added::of_config(folder)? {
        Some(tokens) => tokens,
        None => folder.tokenizer_json.as_ref().map_or_else(Vec::new, |json| json.added_tokens.clone()),
    };
    for added in tokens {
        places.cover(added.id, token(added));
    }
    Ok(())
}

fn token(added: AddedToken) -> Token {
    if added.is_control() {
        Token { text: added.content, score: ADDED_SCORE, kind: TokenKind::Control }
    } else {
        Token { text: added.plain_text(), score: ADDED_SCORE, kind: TokenKind::UserDefined }
    }
}

/// Scores as SentencePiece's trainer gives them: 0, -1, -2 … in the order in which pieces were made, then the pieces
/// that no merge makes.
fn scores(json: &TokenizerJson) -> Result<HashMap<&str, f32>, TokenizerError> {
    let mut scores = HashMap::with_capacity(json.model.vocab.len());
    let mut merged = String::new();
    for (left, right) in json.merges()? {
        merged.clear();
        merged.push_str(&left);
        merged.push_str(&right);
        if let Some((text, _)) = json.model.vocab.get_key_value(merged.as_str()) {
            let next = -(scores.len() as f32);
            scores.entry(text.as_str()).or_insert(next);
        }
    }
    for text in json.model.vocab.keys() {
        let next = -(scores.len() as f32);
        scores.entry(text.as_str()).or_insert(next);
    }
    Ok(scores)
}
