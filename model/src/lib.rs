//! What a checkpoint is: its spec, the roles and names of its tensors, its tokenizer, how it is read and written.
//! Nothing here knows about compression.

pub mod dequantize;
pub mod role;
pub mod spec;
pub mod tensor_type;

pub use dequantize::{DequantizeError, dequantize_row};
pub use role::{Role, TensorId};
pub use spec::{Family, ModelSpec};
pub use tensor_type::TensorType;
