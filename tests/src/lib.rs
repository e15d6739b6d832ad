//! Shared support for the end-to-end tests and benchmarks.

pub mod ggml;
pub mod random;
