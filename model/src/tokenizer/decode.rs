//! Ids to text, as `llama_detokenize` does it but for its cleaning of spaces before punctuation.

use super::byte_alphabet::{byte_of_token, bytes_of_text};
use super::sentence_piece::SPACE;
use super::{TokenKind, Tokenizer, TokenizerError, TokenizerKind};

impl Tokenizer {
    /// The text of ids; bytes that are not UTF-8 become `U+FFFD`. Control tokens are spelled out, or left out.
    ///
    /// The space that encoding puts before a text is removed again.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], keep_special: bool) -> Result<String, TokenizerError> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (position, &id) in ids.iter().enumerate() {
            let token = self
                .tokens
                .get(id as usize)
                .ok_or(TokenizerError::IdOutOfRange { id, tokens: self.tokens.len() })?;
            if !keep_special && token.is_control() {
                continue;
            }
            let piece = self.bytes_of(id);
            let prefix = position == 0 && self.adds_space_prefix() && piece.first() == Some(&b' ');
            bytes.extend_from_slice(if prefix { &piece[1..] } else { &piece });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes that a token adds to a text; none if it is unused or not in the vocabulary.
    pub fn bytes_of(&self, id: u32) -> Vec<u8> {
        let Some(token) = self.tokens.get(id as usize) else { return Vec::new() };
        match token.kind {
            TokenKind::Normal => match self.kind {
                TokenizerKind::BytePair { .. } => {
                    bytes_of_text(&token.text).unwrap_or_else(|| token.text.clone().into_bytes())
                }
                TokenizerKind::SentencePiece => token.text.replace(SPACE, " ").into_bytes(),
            },
            TokenKind::Byte => byte_of_token(&token.text).into_iter().collect(),
            TokenKind::Unknown | TokenKind::Control | TokenKind::UserDefined => {
                token.text.clone().into_bytes()
            }
            TokenKind::Unused => Vec::new(),
        }
    }
}
