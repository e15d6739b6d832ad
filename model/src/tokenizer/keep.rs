//! A tokenizer with fewer tokens.

use super::{NewIds, Token, TokenKind, Tokenizer, TokenizerError, TokenizerKind};
use crate::gguf::MetadataValue;
use crate::hf::token_ids;

/// The end of keys that hold one id.
const ID: &str = "_token_id";
/// The end of keys that hold several.
const IDS: &str = "_token_ids";
/// A whole tokenizer.json, with the ids of the larger vocabulary.
const HF_JSON: &str = "tokenizer.huggingface.json";

impl Tokenizer {
    /// A tokenizer of some of the tokens, numbered by their position in `kept`.
    ///
    /// A merge stays if both parts and what they become stay. Chat templates stay as they are; what speaks of ids
    /// (roles, suppressed tokens, other metadata, generation settings) speaks of the new ones. There are no `hf_files`.
    ///
    /// # Errors
    /// When the ids do not ascend or are not in the vocabulary, or a [required](Self::required) token is not kept.
    pub fn keep(&self, kept: &[u32]) -> Result<Self, TokenizerError> {
        let new_ids = NewIds::new(kept, self.tokens.len())?;
        for (id, need) in self.required() {
            if new_ids.get(id).is_none() {
                let text = self.tokens[id as usize].text.clone();
                return Err(TokenizerError::RequiredNotKept { id, text, need });
            }
        }
        let smaller = Self {
            kind: self.kept_kind(&new_ids)?,
            tokens: (0..).zip(kept).map(|(id, &old)| self.renumbered(old, id)).collect(),
            // all roles are required
            specials: self
                .specials
                .iter()
                .filter_map(|(&special, &id)| Some((special, new_ids.get(id)?)))
                .collect(),
            suppressed: self.suppressed.iter().filter_map(|&id| new_ids.get(id)).collect(),
            other_metadata: self
                .other_metadata
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), self.kept_value(key, value, kept, &new_ids)?)))
                .collect(),
            generation_config: self
                .generation_config
                .as_ref()
                .map(|config| token_ids::renumbered(config, &new_ids)),
            hf_files: None,
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            add_sep: self.add_sep,
            add_space_prefix: self.add_space_prefix,
            chat_template: self.chat_template.clone(),
            named_chat_templates: self.named_chat_templates.clone(),
        };
        smaller.check_itself()?;
        Ok(smaller)
    }

    fn kept_kind(&self, new_ids: &NewIds) -> Result<TokenizerKind, TokenizerError> {
        Ok(match &self.kind {
            TokenizerKind::SentencePiece => TokenizerKind::SentencePiece,
            TokenizerKind::BytePair { pre_tokenizer, merges } => {
                let ids = self.ids_by_text()?;
                let stays = |text: &str| ids.get(text).is_some_and(|&id| new_ids.get(id).is_some());
                let mut whole = String::new();
                let merge_stays = |(left, right): &&(String, String)| {
                    whole.clear();
                    whole.push_str(left);
                    whole.push_str(right);
                    stays(left) && stays(right) && stays(&whole)
                };
                let merges = merges.iter().filter(merge_stays).cloned().collect();
                TokenizerKind::BytePair { pre_tokenizer: pre_tokenizer.clone(), merges }
            }
        })
    }

    /// The token `old` as token `new`: padding bears its id in its name.
    fn renumbered(&self, old: u32, new: u32) -> Token {
        let token = self.tokens[old as usize].clone();
        if token.kind == TokenKind::Unused && token.text == padding_text(old) {
            return Token { text: padding_text(new), ..token };
        }
        token
    }

    /// What a key that is not read says of the tokens that stay; `None` if it says nothing of them.
    fn kept_value(
        &self,
        key: &str,
        value: &MetadataValue,
        kept: &[u32],
        new_ids: &NewIds,
    ) -> Option<MetadataValue> {
        if key == HF_JSON {
            return None;
        }
        if key.ends_with(ID) {
            return Some(new_ids.get(value.as_u32()?)?.into());
        }
        if key.ends_with(IDS) {
            let ids = value.as_u32s()?;
            return Some(ids.iter().filter_map(|&id| new_ids.get(id)).collect::<Vec<_>>().into());
        }
        match value {
            MetadataValue::Array(array) if array.len() == self.tokens.len() => {
                Some(array.picked(kept).into())
            }
            value => Some(value.clone()),
        }
    }
}

/// Whether metadata that are not read speak of each of so many tokens.
pub(super) fn is_of_each_token(key: &str, value: &MetadataValue, tokens: usize) -> bool {
    key == HF_JSON || matches!(value, MetadataValue::Array(array) if array.len() == tokens)
}

/// How a row that nothing leads to is spelled.
pub(super) fn padding_text(id: u32) -> String {
    format!("[PAD{id}]")
}

/// The keys that name one token, with its id.
pub(super) fn id_keys(metadata: &[(String, MetadataValue)]) -> impl Iterator<Item = (&str, u32)> {
    metadata
        .iter()
        .filter(|(key, _)| key.ends_with(ID))
        .filter_map(|(key, value)| Some((key.as_str(), value.as_u32()?)))
}
