//! A tokenizer as the `tokenizer.*` keys of GGUF metadata.

use super::{Special, Token, TokenKind, Tokenizer, TokenizerError, TokenizerKind};
use crate::gguf::{Metadata, MetadataValue};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SUPPRESS_TOKENS: &str = "tokenizer.ggml.suppress_tokens";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
const ADD_SEP: &str = "tokenizer.ggml.add_sep_token";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";
const CHAT_TEMPLATE_NAMES: &str = "tokenizer.chat_templates";

/// Every key of a tokenizer starts with this.
const PREFIX: &str = "tokenizer.";

/// The ids that llama.cpp assumes for SentencePiece where a file has none.
const SENTENCE_PIECE_SPECIALS: [(Special, u32); 3] =
    [(Special::BeginOfSequence, 1), (Special::EndOfSequence, 2), (Special::Unknown, 0)];

impl Tokenizer {
    /// Reads the `tokenizer.*` keys. [`Tokenizer::check`] has been done but for the size of the model's vocabulary.
    ///
    /// # Errors
    /// When a key is missing or has the wrong type, or parts disagree.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self, TokenizerError> {
        let tokens = tokens(metadata)?;
        let kind = match metadata.require::<&str>(MODEL)? {
            "llama" => TokenizerKind::SentencePiece,
            "gpt2" => TokenizerKind::BytePair {
                pre_tokenizer: metadata.optional::<&str>(PRE)?.unwrap_or("default").to_owned(),
                merges: merges(metadata)?,
            },
            found => return Err(TokenizerError::UnknownGgufModel { found: found.to_owned() }),
        };
        let mut specials = std::collections::BTreeMap::new();
        if kind == TokenizerKind::SentencePiece {
            let there = |&(_, id): &(_, u32)| (id as usize) < tokens.len();
            specials.extend(SENTENCE_PIECE_SPECIALS.into_iter().filter(there));
        }
        for special in Special::ALL {
            if let Some(id) = metadata.optional::<u32>(special.gguf_key())? {
                specials.insert(special, id);
            }
        }
        let tokenizer = Self {
            kind,
            tokens,
            specials,
            suppressed: metadata.optional(SUPPRESS_TOKENS)?.unwrap_or_default(),
            add_bos: metadata.optional(ADD_BOS)?,
            add_eos: metadata.optional(ADD_EOS)?,
            add_sep: metadata.optional(ADD_SEP)?,
            add_space_prefix: metadata.optional(ADD_SPACE_PREFIX)?,
            chat_template: metadata.optional::<&str>(CHAT_TEMPLATE)?.map(str::to_owned),
            named_chat_templates: named_chat_templates(metadata)?,
            other_metadata: other_metadata(metadata),
            generation_config: None,
            hf_files: None,
        };
        tokenizer.check_itself()?;
        Ok(tokenizer)
    }

    /// The `tokenizer.*` keys, in the order of llama.cpp's converter.
    pub fn to_gguf_metadata(&self) -> Vec<(String, MetadataValue)> {
        let mut entries: Vec<(String, MetadataValue)> = Vec::new();
        let mut add = |key: &str, value: MetadataValue| entries.push((key.to_owned(), value));

        let (model, pre) = match &self.kind {
            TokenizerKind::BytePair { pre_tokenizer, .. } => ("gpt2", pre_tokenizer.as_str()),
            TokenizerKind::SentencePiece => ("llama", "default"),
        };
        add(MODEL, model.into());
        add(PRE, pre.into());
        add(TOKENS, self.tokens.iter().map(|token| token.text.clone()).collect::<Vec<_>>().into());
        if self.kind == TokenizerKind::SentencePiece || self.tokens.iter().any(|token| token.score != 0.0) {
            add(SCORES, self.tokens.iter().map(|token| token.score).collect::<Vec<_>>().into());
        }
        add(TOKEN_TYPE, self.tokens.iter().map(|token| token.kind as i32).collect::<Vec<_>>().into());
        if let TokenizerKind::BytePair { merges, .. } = &self.kind {
            add(
                MERGES,
                merges.iter().map(|(left, right)| format!("{left} {right}")).collect::<Vec<_>>().into(),
            );
        }
        for (special, id) in &self.specials {
            add(special.gguf_key(), (*id).into());
        }
        if !self.suppressed.is_empty() {
            // llama.cpp reads this array as i32 only; ids are far below its limit
            add(SUPPRESS_TOKENS, self.suppressed.iter().map(|&id| id as i32).collect::<Vec<_>>().into());
        }
        let switches = [
            (ADD_BOS, self.add_bos),
            (ADD_SEP, self.add_sep),
            (ADD_EOS, self.add_eos),
            (ADD_SPACE_PREFIX, self.add_space_prefix),
        ];
        for (key, switch) in switches {
            if let Some(on) = switch {
                add(key, on.into());
            }
        }
        for (name, template) in &self.named_chat_templates {
            add(&format!("{CHAT_TEMPLATE}.{name}"), template.as_str().into());
        }
        if !self.named_chat_templates.is_empty() {
            let names: Vec<String> = self.named_chat_templates.iter().map(|(name, _)| name.clone()).collect();
            add(CHAT_TEMPLATE_NAMES, names.into());
        }
        if let Some(template) = &self.chat_template {
            add(CHAT_TEMPLATE, template.as_str().into());
        }
        entries.extend(self.other_metadata.iter().cloned());
        entries
    }
}

fn tokens(metadata: &Metadata) -> Result<Vec<Token>, TokenizerError> {
    let texts: &[String] = metadata.require(TOKENS)?;
    let scores: Option<Vec<f32>> = metadata.optional(SCORES)?;
    let kinds: Option<Vec<i32>> = metadata.optional(TOKEN_TYPE)?;
    require_length(SCORES, texts.len(), scores.as_deref())?;
    require_length(TOKEN_TYPE, texts.len(), kinds.as_deref())?;
    let token = |(id, text): (usize, &String)| {
        let number = kinds.as_ref().map_or(TokenKind::Normal as i32, |kinds| kinds[id]);
        Ok(Token {
            text: text.clone(),
            score: scores.as_ref().map_or(0.0, |scores| scores[id]),
            kind: TokenKind::from_number(number)
                .ok_or(TokenizerError::UnknownTokenKind { id, found: number })?,
        })
    };
    texts.iter().enumerate().map(token).collect()
}

fn require_length<T>(key: &'static str, expected: usize, values: Option<&[T]>) -> Result<(), TokenizerError> {
    match values {
        Some(values) if values.len() != expected => {
            Err(TokenizerError::Length { key, expected, found: values.len() })
        }
        _ => Ok(()),
    }
}

fn merges(metadata: &Metadata) -> Result<Vec<(String, String)>, TokenizerError> {
    let lines: &[String] = metadata.require(MERGES)?;
    lines.iter().enumerate().map(|(rank, line)| read_merge(rank, line)).collect()
}

/// Two tokens with a space between them. Within tokens there is none: the byte alphabet spells it `Ġ`.
pub(super) fn read_merge(rank: usize, line: &str) -> Result<(String, String), TokenizerError> {
    match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(TokenizerError::BrokenMerge { rank, found: line.to_owned() }),
    }
}

fn named_chat_templates(metadata: &Metadata) -> Result<Vec<(String, String)>, TokenizerError> {
    let names: &[String] = metadata.optional(CHAT_TEMPLATE_NAMES)?.unwrap_or_default();
    let template = |name: &String| {
        let template: &str = metadata.require(&format!("{CHAT_TEMPLATE}.{name}"))?;
        Ok((name.clone(), template.to_owned()))
    };
    names.iter().map(template).collect()
}

fn other_metadata(metadata: &Metadata) -> Vec<(String, MetadataValue)> {
    const READ: [&str; 13] = [
        MODEL,
        PRE,
        TOKENS,
        SCORES,
        TOKEN_TYPE,
        MERGES,
        SUPPRESS_TOKENS,
        ADD_BOS,
        ADD_EOS,
        ADD_SEP,
        ADD_SPACE_PREFIX,
        CHAT_TEMPLATE,
        CHAT_TEMPLATE_NAMES,
    ];
    let names: &[String] = metadata.optional(CHAT_TEMPLATE_NAMES).ok().flatten().unwrap_or_default();
    let is_read = |key: &str| {
        READ.contains(&key)
            || Special::ALL.iter().any(|special| special.gguf_key() == key)
            || key
                .strip_prefix(CHAT_TEMPLATE)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|name| names.iter().any(|known| known == name))
    };
    metadata
        .iter()
        .filter(|(key, _)| key.starts_with(PREFIX) && !is_read(key))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}
