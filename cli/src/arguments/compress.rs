//! `secateur compress`, as typed.

use std::path::PathBuf;

use clap::Args;
use secateur_model::Rounding;
use secateur_model::types::{Override, TypeChoice};
use secateur_profiles::ByteSize;

#[derive(Debug, Args)]
pub struct CompressArguments {
    /// A model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    /// Type of all matrices (f16, q8_0, q4_k, iq4_nl …) or one of llama.cpp's mixes (q4_k_m …)
    #[arg(long = "type", value_name = "TYPE", required_unless_present_any = ["max_size", "bits_per_weight"])]
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
    /// How numbers become codes: rtn, weighted, gptq or full [default: full, or with --type rtn]
    #[arg(long, value_name = "METHOD")]
    pub rounding: Option<Rounding>,
    /// A text file, or a folder of .txt and .md files, to calibrate on; may be repeated [default: a mixed text in the program]
    #[arg(long = "text", value_name = "FILE|FOLDER")]
    pub texts: Vec<PathBuf>,
    /// Tokens to calibrate on at most, spread over the text
    #[arg(long, value_name = "N", default_value_t = 24_576)]
    pub tokens: usize,
    /// llama.cpp's importance matrix instead of a calibration, for --rounding weighted
    #[arg(long, value_name = "FILE", conflicts_with_all = ["texts", "tokens"])]
    pub imatrix: Option<PathBuf>,
    /// Print the plan with its exact size and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn bits(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(bits) if bits > 0.0 && bits <= 32.0 => Ok(bits),
        _ => Err("expected bits for each parameter, above 0 and at most 32".to_owned()),
    }
}
