//! What can go wrong with calibration statistics.

use std::path::PathBuf;

use secateur_model::ModelError;
use secateur_model::tokenizer::TokenizerError;

use crate::forward::ForwardError;

/// Why there are no statistics.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum StatisticsError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Forward(ForwardError),
    #[error("`{}` has no tokenizer; calibration starts from text", path.display())]
    NoTokenizer { path: PathBuf },
    #[error("there are no sequences to calibrate on")]
    NoSequences,
    #[error("the text cannot be tokenized: {0}")]
    Tokenizer(#[from] TokenizerError),
    #[error("`{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not UTF-8: byte {offset} is invalid; convert the text first", path.display())]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error("`{}` holds no text files", path.display())]
    NoTexts { path: PathBuf },
    #[error("the text has {found} tokens, at least one sequence of {needed} is needed; give more text")]
    TooShort { found: usize, needed: usize },
    #[error("{limit} tokens are less than one sequence of {needed}; allow {needed} or more")]
    LimitTooSmall { limit: usize, needed: usize },
    #[error("`{}` cannot be written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not empty and holds no statistics; choose another folder", path.display())]
    FolderTaken { path: PathBuf },
    #[error("`{}` holds statistics of {of}; choose another folder", path.display())]
    OtherStatistics { path: PathBuf, of: &'static str },
    #[error("`{}` holds no statistics; make them by `secateur calibrate`", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is damaged: {reason}; run `secateur calibrate` again, it remakes the file", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("`{}` is no importance matrix: {reason}", path.display())]
    Imatrix { path: PathBuf, reason: String },
    #[error("interrupted; run the same command again to go on")]
    Interrupted,
}

impl From<ForwardError> for StatisticsError {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Interrupted => Self::Interrupted,
            error => Self::Forward(error),
        }
    }
}
