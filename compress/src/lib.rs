//! How a language model is cut: a plan says what will be done, the rest obeys it.

pub mod allocation;
mod apply;
mod artifact;
mod card;
mod checksum;
mod error;
pub mod forward;
pub mod gradient;
mod hf_folder;
pub mod measure;
mod metadata;
pub mod pass_until;
mod planning;
pub mod progress;
mod quality;
mod report;
pub mod rounding;
mod samples;
pub mod shape;
mod side_by_side;
mod solve;
mod staging;
pub mod statistics;
pub mod vocabulary;

mod verify;

pub use artifact::{Execution, Outcome, RunRecord, SourceFile, compress, peak_memory};
pub use error::{CompressError, VerificationError};
pub use planning::{Intent, plan, plan_choices};
pub use quality::Quality;
pub use verify::TensorDistance;
