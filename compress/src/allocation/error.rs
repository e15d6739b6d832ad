//! What can go wrong while types are chosen.

use std::fmt::Write;

use secateur_model::TensorType;

/// Why there is no allocation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AllocationError {
    /// Even the smallest types are too large.
    #[error(
        "{budget} bytes are too few: the smallest that this model can have is {smallest} bytes, with {}; ask for that much, or cut a smaller model",
        shown(types)
    )]
    TooSmall {
        /// What was asked for, in bytes.
        budget: u64,
        /// What the smallest file has.
        smallest: u64,
        /// Types of the smallest file, and how many matrices have each.
        types: Vec<(TensorType, usize)>,
    },
}

fn shown(types: &[(TensorType, usize)]) -> String {
    types.iter().fold(String::new(), |mut text, (tensor_type, count)| {
        let comma = if text.is_empty() { "" } else { ", " };
        // writing to a string cannot fail
        let _ = write!(text, "{comma}{count} matrices in {tensor_type}");
        text
    })
}
