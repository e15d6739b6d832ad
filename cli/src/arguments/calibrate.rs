//! `secateur calibrate`, as typed.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct CalibrateArguments {
    /// A Hugging Face folder, a GGUF file, or `demo`
    pub model: String,
    /// A text file, or a folder of .txt and .md files; may be repeated [default: a mixed text in the program]
    #[arg(long = "text", value_name = "FILE|FOLDER")]
    pub texts: Vec<PathBuf>,
    /// At most so many tokens, in whole sequences spread over the text [default: all of it]
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
    /// Folder for the statistics [default: the cache, $SECATEUR_CACHE or ~/.cache/secateur]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Also write llama.cpp's importance matrix, for llama-quantize --imatrix
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
}
