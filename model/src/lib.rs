//! What a checkpoint is: its spec, the roles and names of its tensors, its tokenizer, how it is read and written.
//! Nothing here knows about compression.

pub mod atomic_file;
mod cache_type;
mod checkpoint;
pub mod demo;
pub mod dequantize;
mod error;
pub mod family;
pub mod general;
pub mod gguf;
pub mod header_spec;
pub mod hf;
mod hub_source;
mod kept;
pub mod plan;
pub mod role;
mod rounding;
pub mod shape;
mod sizes;
pub mod spec;
pub mod stored;
pub mod tensor_rows;
pub mod tensor_type;
pub mod tensor_writer;
pub mod tokenizer;
pub mod types;

pub use cache_type::CacheType;
pub use checkpoint::{Checkpoint, HeldTensor, Origin, repaired_name};
pub use dequantize::{DequantizeError, dequantize_row};
pub use error::ModelError;
pub use hub_source::HubSource;
pub use kept::Kept;
pub use role::{Role, TensorId};
pub use rounding::{Rounding, RoundingError};
pub use sizes::{SpecError, rope_factors};
pub use spec::{Family, ModelSpec};
pub use tensor_type::TensorType;
pub use tokenizer::Tokenizer;
