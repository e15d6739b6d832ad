//! `secateur pull`, as typed.

use clap::Args;
use secateur_hub::Pattern;

#[derive(Debug, Args)]
pub struct PullArguments {
    /// org/name, org/name@revision, or org/name:Q4_K_M for one GGUF model of several
    pub model: String,
    /// Fetch the files that match and no others, for example '*.json'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<Pattern>,
    /// Leave out files that match
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<Pattern>,
    /// List the files and their sizes, and fetch nothing
    #[arg(long)]
    pub dry_run: bool,
}
