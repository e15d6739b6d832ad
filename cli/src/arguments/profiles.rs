//! `secateur profiles`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Which devices can run which models, and what the others lack: memory, storage, instructions, runtime, modality
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
        /// Instructions that every core must have, or later ones of their family
        #[arg(long, value_name = "SIMD")]
        simd: Option<String>,
        /// Runtime that the models are made for
        #[arg(long, value_name = "NAME")]
        runtime: Option<String>,
        /// What the models are fed with beside what their configs tell; can be repeated
        #[arg(long = "modality", value_name = "MODALITY", value_delimiter = ',')]
        modalities: Vec<ModalityArgument>,
        /// Which devices run each model, or which models fit each device
        #[arg(long, value_enum, default_value_t = MatchBy::Model)]
        by: MatchBy,
    },
    /// Make a profile of this machine, in at most two minutes
    Calibrate {
        /// What `llama-bench -o json` reported here
        #[arg(long, value_name = "FILE", conflicts_with_all = ["llama_bench", "models"])]
        bench: Option<PathBuf>,
        /// GGUF file to run llama-bench on; can be repeated. Without any, the runtime follows from our own kernels
        #[arg(long = "model", value_name = "FILE")]
        models: Vec<PathBuf>,
        /// The program [default: `llama-bench` on PATH]
        #[arg(long, value_name = "PROGRAM", requires = "models")]
        llama_bench: Option<PathBuf>,
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

/// Which way devices and models are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MatchBy {
    /// Which devices run each model
    Model,
    /// Which models fit each device
    Device,
}

/// What a model is fed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModalityArgument {
    /// Words
    Text,
    /// Pictures
    Image,
    /// Sound
    Audio,
}
