//! `secateur compress`, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur_compress::shape::Importance;
use secateur_model::shape::Repair;
use secateur_model::types::{Override, TypeChoice};
use secateur_model::{Kept, Rounding};
use secateur_profiles::ByteSize;

use super::EffortArguments;
use super::gates::GateArguments;

#[derive(Debug, Args)]
pub struct CompressArguments {
    /// A model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    // its options take its place before the command line is read
    /// A YAML file of these options by their names, and `model`; what is typed wins
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Type of all matrices (f16, q8_0, q4_k, iq4_nl …), one of llama.cpp's mixes (q4_k_m …), or `source`: each as it is
    /// [default with a smaller vocabulary or shape and no budget: source]
    #[arg(
        long = "type",
        value_name = "TYPE",
        required_unless_present_any = [
            "max_size", "bits_per_weight", "profile", "vocab", "vocab_coverage", "keep_tokens", "keep_scripts", "add_tokens", "layers",
            "keep_layers", "heads", "ffn", "hidden"
        ]
    )]
    pub tensor_type: Option<TypeChoice>,
    /// Type of the matrices whose GGUF name matches, for example ffn_down=q5_k; the first match decides
    #[arg(long = "tensor-type", value_name = "PATTERN=TYPE")]
    pub overrides: Vec<Override>,
    /// Folder for the artifact
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Largest size of model.gguf, for example 80MB: without --type, each matrix gets the type with which the model loses least; with it, exit
    /// with 1 if the file is larger
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// The same as --max-size, in bits of model.gguf for each parameter
    #[arg(long, value_name = "BITS", value_parser = bits, conflicts_with_all = ["max_size", "tensor_type"])]
    pub bits_per_weight: Option<f64>,
    #[command(flatten)]
    pub vocabulary: VocabularyArguments,
    /// Add the texts of a list as tokens, one a line, each with the mean of the rows of the tokens that it had
    #[arg(long, value_name = "FILE")]
    pub add_tokens: Option<PathBuf>,
    #[command(flatten)]
    pub shape: ShapeArguments,
    #[command(flatten)]
    pub effort: EffortArguments,
    /// How numbers become codes: rtn, weighted, gptq or full [default: full; rtn with --type, unless a smaller shape is solved anew into less than eight bits; gptq with --search fast]
    #[arg(long, value_name = "METHOD")]
    pub rounding: Option<Rounding>,
    /// A text file, or a folder of .txt and .md files, to calibrate on; may be repeated [default: a mixed text in the program]
    #[arg(long = "text", value_name = "FILE|FOLDER")]
    pub texts: Vec<PathBuf>,
    /// Tokens to calibrate on at most, spread over the text [default: 24576, or 12288 with --search fast]
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
    /// llama.cpp's importance matrix instead of a calibration, for --rounding weighted
    #[arg(long, value_name = "FILE", conflicts_with_all = ["texts", "tokens"])]
    pub imatrix: Option<PathBuf>,
    /// Print the plan with its exact size and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub gates: GateArguments,
}

impl CompressArguments {
    /// The types that are asked for; none where a budget or a device decides.
    pub fn types(&self) -> Option<TypeChoice> {
        let decided =
            self.max_size.is_some() || self.bits_per_weight.is_some() || self.gates.profile.is_some();
        self.tensor_type.or((!decided).then_some(TypeChoice::Source))
    }
}

/// Which tokens stay.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct VocabularyArguments {
    /// Keep so many tokens, those that the texts of --text use most: 32000, or 32k for 32 times 1024
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub vocab: Option<usize>,
    /// Keep as many tokens as cover this share of the texts of --text, for example 99.9%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub vocab_coverage: Option<f64>,
    /// Keep the tokens of a list, one spelling or id a line, and those that the tokenizer cannot do without
    #[arg(long, value_name = "FILE")]
    pub keep_tokens: Option<PathBuf>,
    /// Keep the tokens in these scripts of Unicode, for example latin,cyrillic
    #[arg(long, value_name = "SCRIPTS", value_delimiter = ',')]
    pub keep_scripts: Vec<String>,
}

/// Which layers, heads, channels and hidden dimensions stay.
#[derive(Debug, Args)]
pub struct ShapeArguments {
    /// Keep so many layers, the first and the last among them
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// How --layers chooses: by how far the predictions move without a layer, or by how much it turns the hidden states
    #[arg(long, value_name = "METHOD", value_enum, default_value_t, requires = "layers")]
    pub layer_choice: LayerChoice,
    /// Keep these layers, numbered from 0, for example 0-20,25-29
    #[arg(long, value_name = "LIST", conflicts_with = "layers")]
    pub keep_layers: Option<Kept>,
    /// Keep so many query heads in each layer, in whole groups that share a key and a value
    #[arg(long, value_name = "N")]
    pub heads: Option<usize>,
    /// Keep so many feed-forward channels in each layer
    #[arg(long, value_name = "N")]
    pub ffn: Option<usize>,
    /// Keep so many hidden dimensions, the same in all layers
    #[arg(long, value_name = "N")]
    pub hidden: Option<usize>,
    /// Let --ffn be the mean: layers that lose more without their channels keep more (llama.cpp loads this as `deci`, of Qwen 3 as `openelm`)
    #[arg(long, requires = "ffn")]
    pub uneven: bool,
    /// How the worth of heads, channels and hidden dimensions is told: magnitude, activation, flap, taylor or obs
    #[arg(long, value_name = "METHOD", default_value_t = Importance::Obs)]
    pub importance: Importance,
    /// How what stays takes over from what goes: none, bias or solve
    #[arg(long, value_name = "METHOD", default_value_t = Repair::Solve)]
    pub repair: Repair,
}

/// How layers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LayerChoice {
    #[default]
    Divergence,
    Influence,
}

impl ShapeArguments {
    /// True if anything is to go.
    pub fn are_given(&self) -> bool {
        self.layers.is_some()
            || self.keep_layers.is_some()
            || self.heads.is_some()
            || self.ffn.is_some()
            || self.hidden.is_some()
    }
}

fn tokens(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => (text, 1),
    };
    let count = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
    count
        .filter(|&count| count > 0)
        .ok_or_else(|| "expected a number of tokens, like 32000 or 32k".to_owned())
}

/// A share, from `99.9%`.
fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("expected a share above 0 and up to 100, like 99.9%".to_owned()),
    }
}

fn bits(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(bits) if bits > 0.0 && bits <= 32.0 => Ok(bits),
        _ => Err("expected bits for each parameter, above 0 and at most 32".to_owned()),
    }
}
