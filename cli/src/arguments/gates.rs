//! Limits beside the size, as `compress` and `check` take them.

use clap::Args;
use secateur_profiles::{Budget, ByteSize};

use super::whatif::{positive, seconds};

#[derive(Debug, Args)]
#[command(next_help_heading = "Gates: exit with 1 if one is missed")]
pub struct GateArguments {
    /// Largest mean divergence from the parent, in nats per token, as measured on text held out of the calibration
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
    /// Most joules for a decoded token, for example 0.5
    #[arg(long, value_name = "JOULES", requires = "profile", value_parser = positive)]
    pub max_energy: Option<f64>,
    /// The device of memory and speeds: a profile's id, or its file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

impl GateArguments {
    /// What a device can be judged by.
    pub fn budget(&self) -> Budget {
        Budget {
            max_size: None,
            max_memory: self.max_memory,
            min_decode: self.min_decode,
            min_prefill: self.min_prefill,
            max_ttft: self.max_ttft,
            max_energy: self.max_energy,
        }
    }
}
