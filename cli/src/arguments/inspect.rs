//! `secateur inspect`, as typed.

use clap::Args;

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// A Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
}
