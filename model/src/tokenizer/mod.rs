//! A tokenizer as data: one value, whether it came from the files of a Hugging Face folder or from GGUF metadata,
//! written in both directions, and able to turn text into ids and back.
//!
//! The meaning of the value is llama.cpp's: [`Encoder`] gives the ids which `llama_tokenize` gives. What is read from a
//! Hugging Face folder is what llama.cpp's converter would write into the GGUF of that folder.

mod add;
mod byte_alphabet;
mod byte_pair;
mod check;
mod decode;
mod encode;
mod error;
mod gguf;
mod hugging_face;
mod keep;
mod new_ids;
mod pre_tokenizer;
mod replay;
mod required;
mod sentence_piece;
mod special;
mod special_text;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::gguf::MetadataValue;

pub use encode::{EncodeOptions, Encoder};
pub use error::TokenizerError;
pub use new_ids::NewIds;
pub use replay::{Making, Replay};
pub use required::Need;
pub use special::Special;

/// How text becomes token ids.
///
/// The fields are public so that a smaller vocabulary can be made from a larger one; [`Tokenizer::check`] tells whether
/// they agree with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokenizer {
    /// The algorithm.
    pub kind: TokenizerKind,
    /// The vocabulary; the index is the id.
    pub tokens: Vec<Token>,
    /// The ids that have a meaning of their own.
    pub specials: BTreeMap<Special, u32>,
    /// Tokens that are never to be generated.
    pub suppressed: Vec<u32>,
    /// Put the begin-of-sequence token before a text; `None` leaves it to the habit of the kind.
    pub add_bos: Option<bool>,
    /// Put the end-of-sequence token after a text.
    pub add_eos: Option<bool>,
    /// Put the separator after a text; no decoder does, but files say so.
    pub add_sep: Option<bool>,
    /// Put a space before a text; `None` is yes for SentencePiece.
    pub add_space_prefix: Option<bool>,
    /// The Jinja template that turns a conversation into text.
    pub chat_template: Option<String>,
    /// Templates for other uses (tools, retrieval), with their names.
    pub named_chat_templates: Vec<(String, String)>,
    /// GGUF keys under `tokenizer.` which are not read, kept as they were.
    pub other_metadata: Vec<(String, MetadataValue)>,
    /// generation_config.json of a Hugging Face folder: how to sample, where to end, with ids of tokens.
    pub generation_config: Option<Value>,
    /// The files that the value was read from, name and content, as long as it says what they say. Whoever changes the
    /// value sets this to `None`.
    pub hf_files: Option<Vec<(String, Vec<u8>)>>,
}

/// The algorithm of a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerKind {
    /// Byte pairs merged by rank within the words of a pre-tokenizer; tokens are spelled in GPT-2's byte alphabet.
    BytePair {
        /// What llama.cpp calls the pre-tokenizer, for example `smollm`.
        pre_tokenizer: String,
        /// Pairs of tokens that merge, the first first.
        merges: Vec<(String, String)>,
    },
    /// Neighbours merged by the score of what they become, over whole texts; spaces are spelled `▁`.
    SentencePiece,
}

/// One entry of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// As spelled in the vocabulary.
    pub text: String,
    /// SentencePiece merges the highest first; byte pairs do not use it.
    pub score: f32,
    /// What the token is for.
    pub kind: TokenKind,
}

/// What a token is for. The numbers are those of GGUF and SentencePiece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Text.
    Normal = 1,
    /// Stands for what cannot be spelled.
    Unknown = 2,
    /// Steers the model; in a text it is recognized only on demand.
    Control = 3,
    /// Text that is always recognized as a whole.
    UserDefined = 4,
    /// A row of the embedding that nothing leads to.
    Unused = 5,
    /// One byte, spelled `<0x0A>`.
    Byte = 6,
}

impl TokenKind {
    const ALL: [Self; 6] =
        [Self::Normal, Self::Unknown, Self::Control, Self::UserDefined, Self::Unused, Self::Byte];

    /// The kind with this number.
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as i32 == number)
    }
}

impl Tokenizer {
    /// The id of a token with a meaning of its own.
    pub fn special(&self, special: Special) -> Option<u32> {
        self.specials.get(&special).copied()
    }

    /// True if a text starts with the begin-of-sequence token.
    pub fn adds_bos(&self) -> bool {
        self.add_bos.unwrap_or_else(|| match &self.kind {
            TokenizerKind::BytePair { pre_tokenizer, .. } => {
                pre_tokenizer::named(pre_tokenizer).is_some_and(|known| known.add_bos)
            }
            TokenizerKind::SentencePiece => true,
        })
    }

    /// True if a text ends with the end-of-sequence token.
    pub fn adds_eos(&self) -> bool {
        self.add_eos.unwrap_or(false)
    }

    /// True if a text gets a space before it. Byte pairs never do, whatever the file says.
    pub fn adds_space_prefix(&self) -> bool {
        match self.kind {
            TokenizerKind::BytePair { .. } => false,
            TokenizerKind::SentencePiece => self.add_space_prefix.unwrap_or(true),
        }
    }
}
