//! What can go wrong while a model is cut.

use std::path::PathBuf;

use secateur_model::gguf::GgufError;
use secateur_model::types::RequestError;
use secateur_model::{ModelError, SpecError, TensorType};

use crate::allocation::AllocationError;
use crate::forward::ForwardError;
use crate::measure::MeasureError;
use crate::shape::ShapeRequestError;
use crate::statistics::StatisticsError;
use crate::vocabulary::VocabularyError;
use secateur_quantize::QuantizeError;
use secateur_quantize::feedback::ProblemError;

/// Why a plan cannot be made or carried out.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum CompressError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Forward(ForwardError),
    #[error(transparent)]
    Statistics(StatisticsError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the plan cannot be laid out as GGUF: {0}")]
    Layout(#[from] GgufError),
    #[error("config.json cannot be written: {0}")]
    Config(#[from] SpecError),
    #[error("tensor `{tensor}`: {source}")]
    Quantize { tensor: String, source: QuantizeError },
    #[error("tensor `{tensor}` cannot be rounded by calibration: {source}")]
    Moments { tensor: String, source: ProblemError },
    #[error(transparent)]
    Measure(MeasureError),
    #[error("the rounded matrices were removed from the cache while in use; run the same command again")]
    RoundedGone,
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    #[error(transparent)]
    Shape(#[from] ShapeRequestError),
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    #[error("tensor `{tensor}` has {value} at row {row}, column {column}; weights must be finite")]
    NotFinite { tensor: String, row: usize, column: usize, value: f32 },
    #[error("`{}` is not empty and was not written by secateur; choose another folder", path.display())]
    FolderTaken { path: PathBuf },
    #[error("`{}` is part of what is being read; choose another folder", path.display())]
    FolderIsSource { path: PathBuf },
    #[error("`{}` cannot be written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the plan cannot be written as YAML: {reason}")]
    PlanText { reason: String },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Verification(#[from] VerificationError),
}

impl From<ForwardError> for CompressError {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Interrupted => Self::Interrupted,
            error => Self::Forward(error),
        }
    }
}

impl From<MeasureError> for CompressError {
    fn from(error: MeasureError) -> Self {
        if error.is_interruption() { Self::Interrupted } else { Self::Measure(error) }
    }
}

impl From<StatisticsError> for CompressError {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::Interrupted => Self::Interrupted,
            error => Self::Statistics(error),
        }
    }
}

/// What is wrong with an artifact that was just written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum VerificationError {
    #[error("the artifact cannot be read back: {0}")]
    Unreadable(#[source] Box<ModelError>),
    #[error("the artifact has {found} bytes, planned were {expected}")]
    Size { expected: u64, found: u64 },
    #[error("row {row} of tensor `{tensor}` is not what was rounded")]
    Row { tensor: String, row: usize },
    #[error("the artifact describes another model than the one that was planned")]
    Spec,
    #[error("tensor `{tensor}` is stored as {found}, planned was {expected}")]
    Type { tensor: String, expected: TensorType, found: TensorType },
    #[error(
        "tensor `{tensor}` as {tensor_type} differs from its source by {found:.3e} of its energy, at most {limit:.0e} was expected"
    )]
    Distance { tensor: String, tensor_type: TensorType, limit: f64, found: f64 },
}
