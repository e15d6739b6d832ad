//! GGUF files: the header as data, the reader that distrusts, the streaming writer.
//!
//! The format is described in `docs/gguf.md` of the ggml project; where that leaves room, we follow what llama.cpp accepts.

mod error;
mod file;
mod header;
mod metadata;
mod read;
mod split;
mod value;
mod write;

pub use error::{GgufError, Place};
pub use file::Gguf;
pub use header::{GgufHeader, TensorInfo};
pub use metadata::{FromMetadata, Metadata};
pub use value::{MetadataArray, MetadataValue, ValueType};
pub use write::GgufLayout;

/// The key that overrides [`DEFAULT_ALIGNMENT`].
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// Tensor data starts at multiples of this many bytes unless the metadata say otherwise.
pub const DEFAULT_ALIGNMENT: u32 = 32;

/// The first bytes of every GGUF file.
const MAGIC: [u8; 4] = *b"GGUF";

/// Arrays within arrays within a key; llama.cpp reads one level only.
const MAX_ARRAY_DEPTH: usize = 4;

/// `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: usize = 4;

#[cfg(test)]
mod tests;
