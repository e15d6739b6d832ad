//! What passes a model, as numbers that pruning and quantization weigh their errors by.
//!
//! [`calibrate`] takes sequences of tokens through a model, a layer at a time, and keeps in a folder what it saw. [`Statistics`] reads
//! that folder, a layer at a time as well, so that memory is bounded by one layer here and there.

mod calibrate;
mod collector;
mod cross;
mod error;
mod fingerprint;
mod hidden_file;
mod imatrix;
mod imatrix_legacy;
mod input_moments;
mod kept;
mod moments;
mod sequences;
mod store;
mod tensor_file;
mod texts;
mod view;

pub use calibrate::{Calibration, calibrate};
pub use cross::CrossMoments;
pub use error::StatisticsError;
pub use fingerprint::of_sequences as sequences_fingerprint;
pub use imatrix::{Imatrix, ImatrixEntry};
pub use input_moments::InputMoments;
pub use kept::{keep, read_kept};
pub use moments::Moments;
pub use sequences::{SEQUENCE_TOKENS, Sequence, calibration_tokens};
pub use store::Place;
pub use texts::{BUILT_IN_NAME, BUILT_IN_TEXT, Text, read_texts, texts_or_built_in};
pub use view::{LayerStatistics, Statistics};
