//! `secateur compress`, as typed.

use std::path::PathBuf;

use clap::Args;
use secateur_compress::types::{Override, TypeChoice};
use secateur_profiles::ByteSize;

#[derive(Debug, Args)]
pub struct CompressArguments {
    /// A model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    /// Type of all matrices (f16, q8_0, q4_k, iq4_nl …) or one of llama.cpp's mixes (q4_k_m …)
    #[arg(long = "type", value_name = "TYPE")]
    pub tensor_type: TypeChoice,
    /// Type of the matrices whose GGUF name matches, for example ffn_down=q5_k; the first match decides
    #[arg(long = "tensor-type", value_name = "PATTERN=TYPE")]
    pub overrides: Vec<Override>,
    /// Folder for the artifact
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Exit with 1 if model.gguf is larger, for example 80MB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// Print the plan with its exact size and write nothing
    #[arg(long)]
    pub dry_run: bool,
}
