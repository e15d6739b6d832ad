//! Checkpoints as Hugging Face lays them out.

pub mod config;
