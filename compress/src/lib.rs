//! How a language model is cut: plan, quantization, artifact.

pub mod quantize;

pub use quantize::{QuantizeError, quantize_rows, quantize_tensor};
