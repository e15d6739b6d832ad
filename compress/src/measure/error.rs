//! What can go wrong while a model is measured.

use std::path::PathBuf;

use secateur_model::ModelError;
use secateur_model::tokenizer::TokenizerError;

use crate::forward::ForwardError;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum MeasureError {
    #[error(transparent)]
    Forward(ForwardError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the text cannot be tokenized: {0}")]
    Tokenizer(#[from] TokenizerError),
    #[error(
        "the text has pieces that no token spells, so that two vocabularies cannot be laid side by side; measure each model by itself"
    )]
    NotSpelled,
    #[error("a context of {context} tokens has no second half that could be scored; at least 4 are needed")]
    ShortContext { context: usize },
    #[error(
        "the text has {tokens} tokens, fewer than one chunk of {context}; give a longer text or a smaller context"
    )]
    ShortText { tokens: usize, context: usize },
    #[error(
        "token {token} at position {position} of the text is outside the vocabulary of {vocabulary_size}"
    )]
    UnknownToken { token: u32, position: usize, vocabulary_size: usize },
    #[error(
        "layer {layer} turns chunk {chunk} of the text into numbers that are not finite; its weights are damaged, or it needs more range than f32"
    )]
    NotFinite { layer: usize, chunk: usize },
    #[error("`{}` cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` cannot be written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no file of log-probabilities: it does not begin with `_logits_`", path.display())]
    NotABase { path: PathBuf },
    #[error("`{}` states a context of {context} tokens, a vocabulary of {vocabulary_size} and {chunks} chunks; no such file was ever written", path.display())]
    BaseHeader { path: PathBuf, context: i32, vocabulary_size: i32, chunks: i32 },
    #[error("`{}` has {found} bytes, its header asks for {expected}; it was cut off or is damaged", path.display())]
    BaseLength { path: PathBuf, expected: u64, found: u64 },
    #[error("`{}` was written by a model with {found} tokens, this one has {expected}; give the base file of its parent", path.display())]
    BaseVocabulary { path: PathBuf, expected: usize, found: usize },
    #[error("`{}` was written with a context of {found} tokens, asked for are {expected}", path.display())]
    BaseContext { path: PathBuf, expected: usize, found: usize },
    #[error(
        "`{}` was written for another text: chunk {chunk} has token {found} at position {position}, this text has {expected}",
        path.display()
    )]
    BaseText { path: PathBuf, chunk: usize, position: usize, expected: u32, found: u32 },
    #[error("`{}` holds {found} chunks of the text, asked for are {expected}", path.display())]
    BaseChunks { path: PathBuf, expected: usize, found: usize },
}

impl MeasureError {
    /// True if nothing is wrong but that the user asked to stop.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Forward(ForwardError::Interrupted))
    }

    /// What the forward pass said of a group of chunks, told of the whole text.
    pub(super) fn in_group(error: ForwardError, first_chunk: usize) -> Self {
        match error {
            ForwardError::NotFinite { layer, text } => Self::NotFinite { layer, chunk: first_chunk + text },
            other => Self::Forward(other),
        }
    }
}

impl From<ForwardError> for MeasureError {
    fn from(error: ForwardError) -> Self {
        Self::in_group(error, 0)
    }
}
