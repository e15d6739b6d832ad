//! What a checkpoint is: its spec, the roles and names of its tensors, its tokenizer, how it is read and written.
//! Nothing here knows about compression.

pub mod atomic_file;
mod error;
pub mod gguf;
pub mod role;
pub mod spec;
pub mod stored;
pub mod tensor_type;
pub mod tensor_writer;
pub mod tokenizer;

pub use error::ModelError;
pub use role::{Role, TensorId};
pub use spec::{Family, ModelSpec};
pub use tensor_type::TensorType;
pub use tokenizer::Tokenizer;
