//! `secateur eval`, as typed.

use std::path::PathBuf;

use clap::Args;

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
    #[arg(long, value_name = "COUNT", value_parser = chunk_count)]
    pub chunks: Option<usize>,
}

fn context(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(tokens @ 4..=1_048_576) => Ok(tokens),
        _ => Err("expected a number of tokens from 4 to 1048576".to_owned()),
    }
}

fn chunk_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(chunks @ 1..) => Ok(chunks),
        _ => Err("expected a number of chunks, at least 1".to_owned()),
    }
}
