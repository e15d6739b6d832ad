//! The ways a tokenizer can be wrong.

use std::path::PathBuf;

use super::{Need, Special};
use crate::gguf::GgufError;

/// One variant per way a tokenizer can be wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum TokenizerError {
    #[error("`{}` cannot be read", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("`{}` has neither tokenizer.json nor tokenizer.model", folder.display())]
    NoTokenizer { folder: PathBuf },
    #[error("`{file}` is not the JSON that is expected")]
    Json { file: &'static str, source: serde_json::Error },
    #[error("`{file}` has a model of type `{found}`; known are byte-level BPE and SentencePiece BPE")]
    UnknownJsonModel { file: &'static str, found: String },
    #[error("tokenizer.model ends within a field, or is not a SentencePiece model: byte {offset}")]
    BrokenProtobuf { offset: usize },
    #[error("tokenizer.model has text that is not UTF-8 in piece {id}")]
    PieceNotUtf8 { id: usize },
    #[error("tokenizer.model is a SentencePiece model of type {found}; known is BPE (2)")]
    NotBytePairs { found: u64 },

    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("`tokenizer.ggml.model` is `{found}`; known are `gpt2` and `llama`")]
    UnknownGgufModel { found: String },
    #[error("`{key}` has {found} entries for {expected} tokens")]
    Length { key: &'static str, expected: usize, found: usize },
    #[error("token {id} has type {found}; known are 1 to 6")]
    UnknownTokenKind { id: usize, found: i32 },
    #[error("merge {rank} is `{found}`, expected two tokens with one space between them")]
    BrokenMerge { rank: usize, found: String },

    #[error("the pre-tokenizer `{found}` is not known; known are {known}")]
    UnknownPreTokenizerName { found: String, known: String },
    #[error("the pre-tokenizer of tokenizer.json is none that llama.cpp has a name for: {found}")]
    UnknownPreTokenizer { found: String },
    #[error("the regular expression of the pre-tokenizer `{name}` cannot be used: {source}")]
    Engine { name: String, source: tokenizers::Error },

    #[error("tokenizer disagrees with the vocabulary: it has {tokenizer} tokens, the model has {model}")]
    Vocabulary { tokenizer: usize, model: usize },
    #[error("the tokenizer has no tokens")]
    Empty,
    #[error("the token `{text}` has two ids: {first} and {second}")]
    DuplicateToken { text: String, first: usize, second: usize },
    #[error("the id {id} belongs to two tokens: `{first}` and `{second}`")]
    DuplicateId { id: u32, first: String, second: String },
    #[error(
        "merge {rank} (`{left}` with `{right}`) needs the token `{missing}`, which is not in the vocabulary"
    )]
    MergeWithoutToken { rank: usize, left: String, right: String, missing: String },
    #[error("token {id} is a byte by its type, but is spelled `{text}`; expected `<0x00>` to `<0xFF>`")]
    BrokenByteToken { id: usize, text: String },
    #[error("{special:?} is token {id}, but the vocabulary has {tokens} tokens")]
    SpecialOutOfRange { special: Special, id: u32, tokens: usize },
    #[error("token {id} is suppressed, but the vocabulary has {tokens} tokens")]
    SuppressedOutOfRange { id: u32, tokens: usize },
    #[error("texts are to get {special:?}, but no token has that role")]
    MissingSpecial { special: Special },
    #[error("the id {id} is not in the vocabulary of {tokens} tokens")]
    IdOutOfRange { id: u32, tokens: usize },

    #[error("token {id} is to be kept after token {previous}; ids of kept tokens ascend, each once")]
    KeptOrder { previous: u32, id: u32 },
    #[error("token {id} (`{text}`) cannot be left out: {need}")]
    RequiredNotKept { id: u32, text: String, need: Need },
}
