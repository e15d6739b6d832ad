//! Why a vocabulary cannot be cut.

use std::path::PathBuf;

use secateur_model::tokenizer::TokenizerError;

/// One variant per way in which a vocabulary cannot be cut as asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum VocabularyError {
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(
        "a vocabulary of {asked} tokens is too small: {required} tokens must stay (bytes, special tokens, and what those are made of)"
    )]
    TooSmall { asked: usize, required: usize },
    #[error("a vocabulary of {asked} tokens cannot be cut from one of {tokens}")]
    TooLarge { asked: usize, tokens: usize },
    #[error("a coverage of {asked} is none; expected a share above 0, up to 1")]
    Coverage { asked: f64 },
    #[error("there is no text to count tokens in; give one that is like what the model will read and write")]
    NoText,
    #[error("all {tokens} tokens of the text are special tokens; give a text with words")]
    OnlySpecial { tokens: u64 },

    #[error("`{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not UTF-8 at byte {offset}", path.display())]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error("line {line}: `{text}` is no token of this vocabulary, neither by spelling nor by id")]
    UnknownToken { line: usize, text: String },
    #[error("line {line}: `{text}` is the token of line {first}")]
    TokenTwice { line: usize, first: usize, text: String },
    #[error("the list of tokens has no line")]
    EmptyList,

    #[error("`{name}` is no script of Unicode; examples are latin, cyrillic, greek, han")]
    UnknownScript { name: String },

    #[error("line {line}: `{text}` is a token already: {id}")]
    AlreadyToken { line: usize, text: String, id: u32 },
    #[error(
        "tokens cannot be added: this tokenizer puts a space after each added token, so that texts would change"
    )]
    AddedSpace,

    #[error(
        "the cut vocabulary makes token {id} (`{text}`) otherwise than before; this is a bug in secateur"
    )]
    MadeOtherwise { id: u32, text: String },
    #[error(
        "`{name}`, line {line}: the cut vocabulary gives {found:?}, expected {expected:?} ({failures} such lines)"
    )]
    OtherPieces { name: String, line: usize, expected: Vec<String>, found: Vec<String>, failures: usize },
    #[error("`{name}`, line {line}: decodes to `{found}`, expected `{expected}` ({failures} such lines)")]
    OtherText { name: String, line: usize, expected: String, found: String, failures: usize },
}
