//! A tokenizer as the files of a Hugging Face folder.
//!
//! Reading gives what llama.cpp's `convert_hf_to_gguf.py` writes into GGUF metadata (`_set_vocab_gpt2`,
//! `_create_vocab_sentencepiece` and `SpecialVocab` there), with these differences:
//! - the pre-tokenizer is recognized by its structure, not by a hash of ids;
//! - user-defined pieces of `tokenizer.model` are user-defined, also where no config repeats them;
//! - an added token that merely looks as if it were spelled in the byte alphabet keeps its text;
//! - a SentencePiece tokenizer without `tokenizer.model` gets scores from the order of its merges. The converter gives
//!   each token the same score, with which llama.cpp merges from left to right and gives other ids than the model
//!   was trained on.

mod added;
mod files;
mod json;
mod model_file;
mod read_byte_pair;
mod read_sentence_piece;
mod read_special;
mod write;
mod write_model;

use std::path::Path;

use super::keep::padding_text;
use super::{Token, TokenKind, Tokenizer, TokenizerError, TokenizerKind};
use files::Folder;
use json::TokenizerJson;

/// A model with more tokens than this is none; it bounds what a wrong config can make us allocate.
const MOST_TOKENS: usize = 1 << 22;

/// What llama.cpp's converter does for all models of this vocabulary size (Granite's, and so SmolLM's): it turns the
/// begin-of-sequence token off.
const NO_BOS_VOCABULARY: usize = 49152;

impl Tokenizer {
    /// Reads the tokenizer of a Hugging Face folder. Rows of the embedding without a token get one of
    /// [`TokenKind::Unused`], spelled `[PAD17]`; `vocabulary_size` is the number of rows.
    ///
    /// # Errors
    /// When files are missing, broken or of another kind, or parts disagree; see [`Tokenizer::check`].
    pub fn from_hf_folder(folder: &Path, vocabulary_size: usize) -> Result<Self, TokenizerError> {
        let folder = Folder::read(folder)?;
        let json = folder.tokenizer_json.as_ref();
        if vocabulary_size > MOST_TOKENS {
            let tokenizer = json.map_or(0, |json| json.model.vocab.len());
            return Err(TokenizerError::Vocabulary { tokenizer, model: vocabulary_size });
        }
        let (kind, tokens, fallback, space_prefix) = match (folder.sentence_piece(), json) {
            (Some(model), json) if json.is_none_or(|json| !json.is_byte_level()) => {
                let model = model_file::read(model)?;
                let tokens = read_sentence_piece::from_model(&model, &folder, vocabulary_size)?;
                (TokenizerKind::SentencePiece, tokens, model.specials, model.add_space_prefix)
            }
            (_, Some(json)) if json.model.byte_fallback => {
                let tokens = read_sentence_piece::from_json(json, &folder, vocabulary_size)?;
                (TokenizerKind::SentencePiece, tokens, Vec::new(), json.has_space_prefix())
            }
            (_, Some(json)) => {
                let (kind, tokens) = read_byte_pair::read(json, &folder, vocabulary_size)?;
                (kind, tokens, Vec::new(), false)
            }
            (_, None) => return Err(TokenizerError::NoTokenizer { folder: folder.path }),
        };
        let special = read_special::read(&folder, &tokens, fallback);
        let mut tokenizer = Self {
            kind,
            tokens,
            specials: special.ids,
            suppressed: Vec::new(),
            add_bos: special.add_bos,
            add_eos: special.add_eos,
            add_sep: special.add_sep,
            add_space_prefix: None,
            chat_template: special.chat_template,
            named_chat_templates: special.named_chat_templates,
            other_metadata: Vec::new(),
            generation_config: (!folder.generation_config.is_null())
                .then(|| folder.generation_config.clone()),
            hf_files: None,
        };
        tokenizer.follow_habits(&folder, space_prefix);
        tokenizer.check(vocabulary_size)?;
        tokenizer.hf_files = Some(folder.files);
        Ok(tokenizer)
    }

    /// The files of a Hugging Face folder, name and content: those that the value was read from, or new ones.
    ///
    /// # Errors
    /// When parts disagree; see [`Tokenizer::check`].
    pub fn hf_files(&self) -> Result<Vec<(String, Vec<u8>)>, TokenizerError> {
        match &self.hf_files {
            Some(files) => Ok(files.clone()),
            None => write::files(self),
        }
    }

    /// What the converter does for some families only.
    fn follow_habits(&mut self, folder: &Folder, space_prefix: bool) {
        let family = folder.config["model_type"].as_str().unwrap_or_default();
        let llama = matches!(family, "llama" | "mistral" | "mixtral");
        if llama && self.tokens.len() == NO_BOS_VOCABULARY {
            self.add_bos = Some(false);
        }
        self.add_space_prefix = if family.starts_with("gemma") {
            Some(false)
        } else if llama && let Some(add) = folder.tokenizer_config["add_prefix_space"].as_bool() {
            Some(add)
        } else if self.kind == TokenizerKind::SentencePiece && !space_prefix {
            Some(false)
        } else {
            None
        };
    }
}

/// The tokens while they are being collected: a place for each row of the embedding.
struct Places {
    tokens: Vec<Option<Token>>,
}

impl Places {
    fn new(vocabulary_size: usize) -> Self {
        Self { tokens: vec![None; vocabulary_size] }
    }

    /// Puts a token of the base vocabulary into its place.
    fn put(&mut self, id: u32, token: Token) -> Result<(), TokenizerError> {
        let model = self.tokens.len();
        let place = self
            .tokens
            .get_mut(id as usize)
            .ok_or(TokenizerError::Vocabulary { tokenizer: id as usize + 1, model })?;
        match place {
            None => *place = Some(token),
            Some(first) => {
                return Err(TokenizerError::DuplicateId {
                    id,
                    first: first.text.clone(),
                    second: token.text,
                });
            }
        }
        Ok(())
    }

    /// Puts an added token over what is there. Gemma's tokenizer has one more token than the embedding has rows;
    /// such tokens are left out.
    fn cover(&mut self, id: u32, token: Token) {
        if let Some(place) = self.tokens.get_mut(id as usize) {
            *place = Some(token);
        }
    }

    /// The tokens; empty places get the score.
    fn filled(self, score: f32) -> Vec<Token> {
        let pad = |id| Token { text: padding_text(id as u32), score, kind: TokenKind::Unused };
        self.tokens.into_iter().enumerate().map(|(id, token)| token.unwrap_or_else(|| pad(id))).collect()
    }
}
