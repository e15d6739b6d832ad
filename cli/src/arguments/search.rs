//! `secateur search`, as typed, and what `compress` shares with it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secateur_model::Rounding;
use secateur_plans::Care;
use secateur_profiles::ByteSize;
use secateur_search::{Limit, Preset};

use super::whatif::positive;

/// Tokens to calibrate on where nobody says how many.
pub const USUAL_TOKENS: usize = 24_576;

#[derive(Debug, Args)]
pub struct SearchArguments {
    /// A model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    // its options take its place before the command line is read
    /// A YAML file of these options by their names, and `model`; what is typed wins
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Largest size of model.gguf, for example 80MB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// Search for the plan that fits this device (see `secateur profiles list`); may be repeated: the plan fits them all
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Most memory at the peak; never more than an app may use on the device
    #[arg(long, value_name = "SIZE", requires = "profiles")]
    pub max_memory: Option<ByteSize>,
    /// Fewest decoded tokens per second
    #[arg(long, value_name = "SPEED", requires = "profiles", value_parser = positive)]
    pub min_decode: Option<f64>,
    /// Fewest prompt tokens per second
    #[arg(long, value_name = "SPEED", requires = "profiles", value_parser = positive)]
    pub min_prefill: Option<f64>,
    /// Most joules for a decoded token, for example 0.5
    #[arg(long, value_name = "JOULES", requires = "profiles", value_parser = positive)]
    pub max_energy: Option<f64>,
    #[command(flatten)]
    pub effort: EffortArguments,
    /// A text file, or a folder of .txt and .md files, to calibrate and measure on; may be repeated [default: a mixed text in the program]
    #[arg(long = "text", value_name = "FILE|FOLDER")]
    pub texts: Vec<PathBuf>,
    /// Tokens to calibrate on at most, spread over the text [default: 24576, or 12288 with --search fast]
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
}

/// How hard to search.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub struct EffortArguments {
    /// What the search may cut: tokens that the --text given does not need, layers and channels, types [default: all three]
    #[arg(long, value_name = "STAGE", value_enum, value_delimiter = ',')]
    pub stages: Vec<StageArgument>,
    /// A YAML file of what may be chosen: numbers of layers, heads, ffn channels and vocabulary tokens, types of matrices
    #[arg(long, value_name = "FILE")]
    pub space: Option<PathBuf>,
    /// Tokens of context that memory is reserved for
    #[arg(long, value_name = "TOKENS", default_value_t = 2048)]
    pub context: usize,
    /// How hard to search
    #[arg(long, value_name = "PRESET", value_enum, default_value_t)]
    pub search: PresetArgument,
    /// Measure plans for so long, for example 90s or 10m [default: not at all with fast, 5m balanced, 60m thorough]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// Measure so many plans instead; 0 asks only what the study already knows
    #[arg(long, value_name = "N", conflicts_with = "time")]
    pub evaluations: Option<usize>,
    /// Where measurements are kept and found again [default: in the cache]
    #[arg(long, value_name = "FILE")]
    pub study: Option<PathBuf>,
}

/// A part of the work that a search decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageArgument {
    Vocabulary,
    Shape,
    Quantize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PresetArgument {
    Fast,
    #[default]
    Balanced,
    Thorough,
}

impl PresetArgument {
    pub fn preset(self) -> Preset {
        match self {
            Self::Fast => Preset::Fast,
            Self::Balanced => Preset::Balanced,
            Self::Thorough => Preset::Thorough,
        }
    }

    /// How much time shapes are worth.
    pub fn care(self) -> Care {
        match self {
            Self::Fast => Care::Quick,
            Self::Balanced | Self::Thorough => Care::Usual,
        }
    }

    /// Plans that are rounded in full to see whether they are better than the one found, where it is to be written.
    pub fn rivals(self) -> usize {
        match self {
            Self::Fast => 0,
            Self::Balanced => 1,
            Self::Thorough => 3,
        }
    }

    /// How what is found is rounded: solving for the parent's hidden states takes as long as all else that a fast search does.
    pub fn rounding(self) -> Rounding {
        match self {
            Self::Fast => Rounding::Gptq,
            Self::Balanced | Self::Thorough => Rounding::Full,
        }
    }

    /// How long to measure. The first plan of all takes a minute on small models, since all matrices are rounded for it, so a fast search goes by
    /// predictions.
    fn limit(self) -> Limit {
        match self {
            Self::Fast => Limit::Evaluations(0),
            Self::Balanced => Limit::Time(Duration::from_secs(5 * 60)),
            Self::Thorough => Limit::Time(Duration::from_secs(60 * 60)),
        }
    }
}

impl EffortArguments {
    /// Tokens to calibrate on where nobody says how many: a fast search is not worth the time that more would take.
    pub fn usual_tokens(&self) -> usize {
        match self.search {
            PresetArgument::Fast => 12_288,
            PresetArgument::Balanced | PresetArgument::Thorough => USUAL_TOKENS,
        }
    }

    /// True if the search may cut this.
    pub fn may_cut(&self, stage: StageArgument) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }

    /// When to stop measuring.
    pub fn limit(&self) -> Limit {
        match (self.evaluations, self.time) {
            (Some(evaluations), _) => Limit::Evaluations(evaluations),
            (None, Some(time)) => Limit::Time(time),
            (None, None) => self.search.limit(),
        }
    }
}

/// A time, from `90s`, `10m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time like 90s, 10m or 1h".to_owned();
    let (number, unit) =
        text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(expected)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(expected()),
    };
    match number.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Duration::from_secs(number * seconds)),
        _ => Err(expected()),
    }
}
