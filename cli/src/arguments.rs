//! The command line as typed. Nothing is decided here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secateur_compress::types::{Override, TypeChoice};
use secateur_profiles::ByteSize;

/// Cuts a language model to fit a device.
#[derive(Debug, Parser)]
#[command(name = "secateur", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 done but a budget is missed, 2 usage, 3 a file cannot be used, \
4 the artifact failed its verification, 70 a bug, 130 interrupted";

#[derive(Debug, Args)]
pub struct Global {
    /// Print one JSON document, also for errors
    #[arg(long, global = true)]
    pub json: bool,
    /// How tables are printed
    #[arg(long, global = true, value_enum, default_value_t, conflicts_with = "json")]
    pub format: TableFormat,
    /// Worker threads [default: all cores]
    #[arg(long, global = true, value_parser = thread_count)]
    pub threads: Option<usize>,
    /// No progress, no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum TableFormat {
    #[default]
    Table,
    Markdown,
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a smaller model, with its plan, its card and its hashes
    Compress(CompressArguments),
    /// Show what a model is, from its headers alone
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
pub struct CompressArguments {
    /// A Hugging Face folder, a GGUF file, or `demo`
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

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// A Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
}

fn thread_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("expected a number from 1 to 1024".to_owned()),
    }
}
