//! The demo model: a small real language model inside the binary, so that everything can be tried with no network.
//!
//! What it is and how it was trained: `model/demo/README.md`.

/// What the command line calls it.
pub const NAME: &str = "demo";

/// The whole GGUF file.
pub static GGUF: &[u8] = include_bytes!("../demo/demo.gguf");
