//! `secateur inspect`, as typed.

use clap::Args;

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// A model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
}
