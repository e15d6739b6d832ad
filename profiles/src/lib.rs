//! What a device is and what a model costs on it; budgets and their verdicts.

pub mod architecture;
mod budget;
pub mod calibrate;
pub mod catalog;
pub mod chip;
pub mod cost;
pub mod estimate;
pub mod fit;
pub mod label;
pub mod library;
pub mod measurement;
pub mod needs;
pub mod profile;
pub mod quantity;
pub mod vision;
mod weight_format;

pub use budget::{Budget, ByteSize, ByteSizeError, Verdict};
pub use estimate::{Estimate, Usage};
pub use weight_format::{FORMATS, WeightFormat};
