//! A tokenizer with more tokens.

use super::keep::is_of_each_token;
use super::{Token, TokenKind, Tokenizer, TokenizerError};

/// The score of tokens that merging does not lead to, as llama.cpp's converter writes it.
const SCORE: f32 = -1000.0;

impl Tokenizer {
    /// A tokenizer with these texts as user-defined tokens after its own: they are found in any text as a whole, before
    /// it is merged. There are no `hf_files`, and no metadata that would have to say something of them.
    ///
    /// # Errors
    /// When a text is a token already, or there twice.
    pub fn with_user_defined(&self, texts: &[&str]) -> Result<Self, TokenizerError> {
        let score = match self.kind {
            super::TokenizerKind::BytePair { .. } => 0.0,
            super::TokenizerKind::SentencePiece => SCORE,
        };
        let mut larger = Self { hf_files: None, ..self.clone() };
        larger.other_metadata.retain(|(key, value)| !is_of_each_token(key, value, self.tokens.len()));
        let token = |text: &&str| Token { text: (*text).to_owned(), score, kind: TokenKind::UserDefined };
        larger.tokens.extend(texts.iter().map(token));
        larger.check_itself()?;
        Ok(larger)
    }
}
