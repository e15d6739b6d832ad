//! Shared support for the end-to-end tests and benchmarks.

pub mod binary;
pub mod browser;
pub mod fixtures;
pub mod ggml;
pub mod hub_client;
pub mod hub_server;
pub mod judge;
pub mod qwen3;
pub mod random;
pub mod random_checkpoint;
pub mod schemas;
pub mod spearman;
pub mod typed;
