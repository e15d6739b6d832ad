//! `secateur eval`, as typed.

use std::path::PathBuf;

use clap::Args;

use super::whatif::CacheTypeArgument;

#[derive(Debug, Args)]
pub struct EvalArguments {
    /// A Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    /// A text file; several give a row each
    #[arg(long, value_name = "FILE", required_unless_present_any = ["base", "pass_until"])]
    pub text: Vec<PathBuf>,
    /// Compare with this model: divergence, agreement, correlation
    #[arg(long, value_name = "PARENT", conflicts_with = "base")]
    pub against: Option<String>,
    /// Compare with what a parent said before, as written by --save-base or llama-perplexity --save-all-logits
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Write the log-probabilities of PARENT, or without --against of MODEL, in llama.cpp's format
    #[arg(long, value_name = "FILE", conflicts_with = "base")]
    pub save_base: Option<PathBuf>,
    /// Tokens of a chunk; its second half is scored [default: 512, or what the model was trained for if that is less]
    #[arg(long, value_name = "TOKENS", value_parser = context)]
    pub context: Option<usize>,
    /// Chunks of each text [default: all]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub chunks: Option<usize>,
    /// Keep MODEL's keys and values as llama.cpp does with this --cache-type-k and -v; PARENT's lose nothing [default: f32]
    #[arg(long, value_name = "TYPE", value_enum)]
    pub cache_type: Option<CacheTypeArgument>,
    /// Sample the tasks of this file (JSON lines or YAML) until each has passed often enough
    #[arg(long, value_name = "TASKS", conflicts_with_all = ["text", "against", "base", "save_base", "context", "chunks"])]
    pub pass_until: Option<PathBuf>,
    /// Passes that end a task
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = pass_count, conflicts_with_all = ["text", "base"])]
    pub passes: usize,
    /// Samples after which a task is given up
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = count, conflicts_with_all = ["text", "base"])]
    pub cap: usize,
    /// What logits are divided by before a token is drawn
    #[arg(long, default_value_t = 1.0, value_parser = temperature, conflicts_with_all = ["text", "base"])]
    pub temperature: f32,
    /// Tokens of a sample at most
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = count, conflicts_with_all = ["text", "base"])]
    pub max_tokens: usize,
    /// Show the biased estimate r/K too
    #[arg(long, conflicts_with_all = ["text", "base"])]
    pub biased: bool,
}

fn context(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(tokens @ 4..=1_048_576) => Ok(tokens),
        _ => Err("expected a number of tokens from 4 to 1048576".to_owned()),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("expected a number from 1 to 1000000".to_owned()),
    }
}

fn pass_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(passes @ 2..=10_000) => Ok(passes),
        _ => {
            Err("expected a number from 2 to 10000: with one pass there is no estimate without bias"
                .to_owned())
        }
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(temperature) if temperature > 0.0 && temperature <= 100.0 => Ok(temperature),
        _ => Err("expected a number above 0, at most 100".to_owned()),
    }
}
