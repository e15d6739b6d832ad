//! Shared support for the end-to-end tests and benchmarks.

pub mod fixtures;
pub mod judge;
