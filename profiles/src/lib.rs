//! What a device is and what a model costs on it; budgets and their verdicts.

mod budget;

pub use budget::{Budget, ByteSize, ByteSizeError, Verdict};
