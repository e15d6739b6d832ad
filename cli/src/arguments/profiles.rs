//! `secateur profiles`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct ProfilesArguments {
    #[command(subcommand)]
    pub command: ProfilesCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// Every profile in the program
    List,
    /// One profile as YAML
    Show {
        /// Id or file
        profile: String,
    },
    /// Check profiles of your own
    Check {
        /// YAML files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// The JSON Schema of profiles
    Schema,
    /// Which devices can run which models, by memory, storage and instructions
    Match {
        /// Models, as in `whatif`
        #[arg(required = true)]
        models: Vec<String>,
        /// Only this profile; can be repeated [default: all]
        #[arg(long = "profile", value_name = "PROFILE", value_delimiter = ',')]
        profiles: Vec<String>,
        /// Longest context in tokens
        #[arg(long, value_name = "TOKENS", default_value = "2048")]
        context: usize,
        /// Instructions that the models' runtime needs
        #[arg(long, value_name = "SIMD")]
        simd: Option<String>,
    },
    /// Make a profile of this machine
    Calibrate {
        /// What `llama-bench -o json` reported here; without it, only memory is measured
        #[arg(long, value_name = "FILE")]
        bench: Option<PathBuf>,
        /// Id of the profile
        #[arg(long, default_value = "this-machine")]
        id: String,
        /// Write the profile here [default: print it]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Make a profile of a device that somebody measured
    Fit {
        /// A table of measurements, tab-separated
        table: PathBuf,
        /// Id of the profile
        #[arg(long, default_value = "fitted")]
        id: String,
        /// Memory of the device in GiB
        #[arg(long, default_value_t = 8.0)]
        memory: f64,
        /// Write the profile here [default: print it]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Compare predicted with measured speeds
    Score {
        /// A table of measurements, tab-separated
        table: PathBuf,
        /// Predict every device from its specification, as if nobody had measured it
        #[arg(long)]
        unseen: bool,
    },
}
