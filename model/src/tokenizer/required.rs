//! The tokens that a smaller vocabulary cannot do without.

use std::collections::BTreeMap;
use std::fmt;

use super::byte_alphabet::bytes_of_text;
use super::keep::id_keys;
use super::{Special, Token, TokenKind, Tokenizer, TokenizerKind};

/// Why a token must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// It plays a role of its own.
    Special(Special),
    /// A metadata key that is not read names it.
    Key(String),
    /// It spells a byte, so that any text can be spelled.
    Byte,
    /// It spells a character, in a vocabulary that has no bytes to fall back on.
    Character,
    /// It steers the model, or stands for the unknown.
    Control,
    /// A chat template writes it.
    ChatTemplate,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(special) => write!(f, "it is the token for {special:?}"),
            Self::Key(key) => write!(f, "`{key}` names it"),
            Self::Byte => f.write_str("it spells a byte"),
            Self::Character => {
                f.write_str("it spells a character, and the vocabulary has no bytes to fall back on")
            }
            Self::Control => f.write_str("it steers the model"),
            Self::ChatTemplate => f.write_str("a chat template writes it"),
        }
    }
}

impl Tokenizer {
    /// The tokens that every smaller vocabulary must keep, with the reason.
    ///
    /// Control tokens are among them but for placeholders (`<unused17>`, `<|reserved_special_token_5|>`) that neither a
    /// role nor a chat template names: they were never trained.
    pub fn required(&self) -> BTreeMap<u32, Need> {
        let mut required = BTreeMap::new();
        for (&special, &id) in &self.specials {
            required.entry(id).or_insert(Need::Special(special));
        }
        for (key, id) in id_keys(&self.other_metadata) {
            required.entry(id).or_insert_with(|| Need::Key(key.to_owned()));
        }
        let has_bytes = self.has_bytes();
        for (id, token) in (0..).zip(&self.tokens) {
            if let Some(need) = self.need(token, has_bytes) {
                required.entry(id).or_insert(need);
            }
        }
        required.retain(|&id, _| (id as usize) < self.tokens.len());
        required
    }

    fn need(&self, token: &Token, has_bytes: bool) -> Option<Need> {
        let one_character = token.kind == TokenKind::Normal && token.text.chars().nth(1).is_none();
        match (&self.kind, token.kind) {
            (_, TokenKind::Byte) => return Some(Need::Byte),
            (TokenizerKind::BytePair { .. }, TokenKind::Normal)
                if one_character && bytes_of_text(&token.text).is_some() =>
            {
                return Some(Need::Byte);
            }
            (TokenizerKind::SentencePiece, TokenKind::Normal) if one_character && !has_bytes => {
                return Some(Need::Character);
            }
            _ => {}
        }
        let whole = token.is_control() || token.kind == TokenKind::UserDefined;
        if whole && self.templates().any(|template| template.contains(&token.text)) {
            return Some(Need::ChatTemplate);
        }
        (token.is_control() && !is_placeholder(&token.text)).then_some(Need::Control)
    }

    /// All chat templates, the usual one first.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.chat_template
            .as_deref()
            .into_iter()
            .chain(self.named_chat_templates.iter().map(|(_, text)| text.as_str()))
    }

    /// True if any byte can be spelled.
    fn has_bytes(&self) -> bool {
        match self.kind {
            TokenizerKind::BytePair { .. } => true,
            TokenizerKind::SentencePiece => {
                self.tokens.iter().filter(|token| token.kind == TokenKind::Byte).count() == 256
            }
        }
    }
}

impl Token {
    /// True if no text was meant to lead to it when the model was trained: padding, and numbered placeholders.
    pub fn is_spare(&self) -> bool {
        self.kind == TokenKind::Unused || self.is_control() && is_placeholder(&self.text)
    }
}

/// `<unused17>`, `[unused17]`, `<|reserved_special_token_5|>`, `<reserved_5>`: a word that says so, and a number.
fn is_placeholder(text: &str) -> bool {
    let plain = text.trim_start_matches(['<', '[', '|', '｜']).trim_end_matches(['>', ']', '|', '｜']);
    let Some(number) = plain.find(|character: char| character.is_ascii_digit()) else { return false };
    let (word, number) = plain.split_at(number);
    plain.len() < text.len()
        && ["unused", "reserved"].iter().any(|start| word.starts_with(start))
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_by_their_names() {
        for text in
            ["<unused0>", "[unused17]", "<|reserved_special_token_247|>", "<reserved_5>", "<|reserved_3|>"]
        {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["unused0", "<unused>", "<|im_end|>", "<reserved_5a>", "<fim_5>", "", "<>", "<|5|>"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
