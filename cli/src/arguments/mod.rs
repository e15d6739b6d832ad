//! The command line as typed: one file per command. Nothing is decided here.

mod calibrate;
mod check;
mod compare;
mod compress;
mod describe;
mod eval;
mod gates;
mod inspect;
mod profiles;
mod pull;
mod search;
mod whatif;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use calibrate::CalibrateArguments;
pub use check::CheckArguments;
pub use compare::{ChartArgument, CompareArguments};
pub use compress::{CompressArguments, LayerChoice, ShapeArguments, VocabularyArguments};
pub use describe::{CompletionsArguments, ManArguments, SchemaArguments};
pub use eval::EvalArguments;
pub use inspect::InspectArguments;
pub use profiles::{MatchBy, ModalityArgument, ProfilesArguments, ProfilesCommand};
pub use pull::PullArguments;
pub use search::{EffortArguments, SearchArguments, StageArgument, USUAL_TOKENS};
pub use whatif::{CacheTypeArgument, Sort, WhatIfArguments, type_choices};

/// Cuts a language model to fit a device.
#[derive(Debug, Parser)]
#[command(name = "secateur", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 done but a budget is missed, 2 usage, 3 a file or the network cannot be used, \
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
    /// Where all that is random begins; run.json holds it
    #[arg(long, global = true, default_value_t = 0)]
    pub seed: u64,
    /// Ask nobody on the network: models of the Hub come from the cache
    #[arg(long, global = true)]
    pub offline: bool,
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
    Html,
    Latex,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// See what passes a model: statistics for pruning and quantization, and llama.cpp's importance matrix
    Calibrate(CalibrateArguments),
    /// Judge a run by budgets and by an earlier run; exit with 1 if one is missed
    Check(CheckArguments),
    /// Put models beside each other: artifacts, run.json files, GGUF files, Hugging Face folders, models of the Hub
    Compare(CompareArguments),
    /// Print a script that completes commands and options in a shell
    Completions(CompletionsArguments),
    /// Write a smaller model, with its plan, its card and its hashes
    Compress(Box<CompressArguments>),
    /// Measure a model on texts, by itself and beside its parent
    Eval(EvalArguments),
    /// Show what a model is, from its headers alone
    Inspect(InspectArguments),
    /// Write manual pages
    Man(ManArguments),
    /// Fetch a model from the Hugging Face Hub into the cache that Python's huggingface_hub shares
    Pull(PullArguments),
    /// Search for the plan of a model that loses least within limits on devices
    Search(SearchArguments),
    /// Devices that costs can be estimated for
    Profiles(ProfilesArguments),
    /// Print this reference as Markdown
    #[command(hide = true)]
    Reference,
    /// Print the JSON Schema of run.json, or of what a command prints with --json
    Schema(SchemaArguments),
    /// Estimate size, memory, speed and energy of a model on devices, from its headers alone
    Whatif(WhatIfArguments),
}

fn thread_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("expected a number from 1 to 1024".to_owned()),
    }
}
