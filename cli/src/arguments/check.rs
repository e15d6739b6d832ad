//! `secateur check`, as typed.

use std::path::PathBuf;

use clap::Args;
use secateur_profiles::ByteSize;

use super::whatif::{positive, seconds};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("gate").multiple(true).required(true)
    .args(["max_size", "max_kld", "max_memory", "min_decode", "min_prefill", "max_ttft", "against"]))]
pub struct CheckArguments {
    /// A folder that `compress` wrote, or its run.json
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Largest size of model.gguf, for example 80MB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// Largest mean divergence from the parent, in nats per token, as the run has measured it
    #[arg(long, value_name = "NATS", value_parser = positive)]
    pub max_kld: Option<f64>,
    /// Most memory at the peak on the profile's device
    #[arg(long, value_name = "SIZE", requires = "profile")]
    pub max_memory: Option<ByteSize>,
    /// Fewest decoded tokens per second
    #[arg(long, value_name = "SPEED", value_parser = positive, requires = "profile")]
    pub min_decode: Option<f64>,
    /// Fewest prompt tokens per second
    #[arg(long, value_name = "SPEED", value_parser = positive, requires = "profile")]
    pub min_prefill: Option<f64>,
    /// Latest first token, for example 2s
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "profile")]
    pub max_ttft: Option<f64>,
    /// The device of memory and speeds: a profile's id, or its file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// An earlier run (its folder or run.json): no larger, and no worse than chance explains
    #[arg(long, value_name = "BASELINE")]
    pub against: Option<String>,
    /// Write the verdicts as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
