//! Folders as Hugging Face transformers writes them.

pub mod config;
mod error;
mod folder;
mod header;
mod index;
mod layout;
pub mod token_ids;
mod weights;
mod write;

pub use error::SafetensorsError;
pub use folder::find_file;
pub use header::read_header;
pub use layout::SafetensorsLayout;
pub use weights::HfWeights;
pub use write::{DEFAULT_MAX_SHARD_BYTES, HfWeightsLayout, HfWeightsWriter};

/// Weights that fit one file.
const SINGLE_FILE: &str = "model.safetensors";

/// Says which of several files has which tensor.
const INDEX_FILE: &str = "model.safetensors.index.json";

/// What the safetensors crate allows for the header of a file.
const MAX_HEADER_BYTES: u64 = 100_000_000;

#[cfg(test)]
mod tests;
