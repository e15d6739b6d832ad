//! Whether the parts of a tokenizer agree with each other and with the model.

use std::collections::HashMap;

use super::byte_alphabet::byte_of_token;
use super::{Special, TokenKind, Tokenizer, TokenizerError, TokenizerKind, pre_tokenizer};

impl Tokenizer {
    /// Checks that no token is there twice, that merges, byte tokens and special ids fit the vocabulary, and that the
    /// vocabulary has one token for each row of the embedding.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn check(&self, vocabulary_size: usize) -> Result<(), TokenizerError> {
        if self.tokens.len() != vocabulary_size {
            return Err(TokenizerError::Vocabulary { tokenizer: self.tokens.len(), model: vocabulary_size });
        }
        self.check_itself()
    }

    /// As [`Self::check`], where the model is not at hand.
    pub(super) fn check_itself(&self) -> Result<(), TokenizerError> {
        if self.tokens.is_empty() {
            return Err(TokenizerError::Empty);
        }
        let ids = self.ids_by_text()?;
        self.check_bytes()?;
        self.check_specials()?;
        match &self.kind {
            TokenizerKind::BytePair { pre_tokenizer, merges } => {
                pre_tokenizer::require(pre_tokenizer)?;
                check_merges(merges, &ids)
            }
            TokenizerKind::SentencePiece => Ok(()),
        }
    }

    /// The id of each token's text.
    pub(super) fn ids_by_text(&self) -> Result<HashMap<&str, u32>, TokenizerError> {
        let mut ids = HashMap::with_capacity(self.tokens.len());
        for (id, token) in self.tokens.iter().enumerate() {
            if let Some(first) = ids.insert(token.text.as_str(), id as u32) {
                return Err(TokenizerError::DuplicateToken {
                    text: token.text.clone(),
                    first: first as usize,
                    second: id,
                });
            }
        }
        Ok(ids)
    }

    fn check_bytes(&self) -> Result<(), TokenizerError> {
        for (id, token) in self.tokens.iter().enumerate() {
            if token.kind == TokenKind::Byte && byte_of_token(&token.text).is_none() {
                return Err(TokenizerError::BrokenByteToken { id, text: token.text.clone() });
            }
        }
        Ok(())
    }

    fn check_specials(&self) -> Result<(), TokenizerError> {
        let tokens = self.tokens.len();
        let outside = |id: u32| id as usize >= tokens;
        if let Some((&special, &id)) = self.specials.iter().find(|&(_, &id)| outside(id)) {
            return Err(TokenizerError::SpecialOutOfRange { special, id, tokens });
        }
        if let Some(&id) = self.suppressed.iter().find(|&&id| outside(id)) {
            return Err(TokenizerError::SuppressedOutOfRange { id, tokens });
        }
        for (added, special) in
            [(self.adds_bos(), Special::BeginOfSequence), (self.adds_eos(), Special::EndOfSequence)]
        {
            if added && self.special(special).is_none() {
                return Err(TokenizerError::MissingSpecial { special });
            }
        }
        Ok(())
    }
}

fn check_merges(merges: &[(String, String)], ids: &HashMap<&str, u32>) -> Result<(), TokenizerError> {
    let mut merged = String::new();
    for (rank, (left, right)) in merges.iter().enumerate() {
        merged.clear();
        merged.push_str(left);
        merged.push_str(right);
        if let Some(&missing) = [left, right, &merged].iter().find(|text| !ids.contains_key(text.as_str())) {
            return Err(TokenizerError::MergeWithoutToken {
                rank,
                left: left.clone(),
                right: right.clone(),
                missing: missing.clone(),
            });
        }
    }
    Ok(())
}
