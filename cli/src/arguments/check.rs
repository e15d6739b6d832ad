//! `secateur check`, as typed.

use std::path::PathBuf;

use clap::Args;
use secateur_profiles::ByteSize;

use super::gates::GateArguments;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("gate").multiple(true).required(true)
    .args(["max_size", "max_kld", "max_memory", "min_decode", "min_prefill", "max_ttft", "max_energy", "against"]))]
pub struct CheckArguments {
    /// A folder that `compress` wrote, or its run.json
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Largest size of model.gguf, for example 80MB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// An earlier run (its folder or run.json): no larger, and no worse than chance explains
    #[arg(long, value_name = "BASELINE")]
    pub against: Option<String>,
    /// Write the verdicts as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub gates: GateArguments,
}
