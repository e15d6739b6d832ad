//! `secateur compare`, as typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use secateur_reports::comparison::{Metric, MetricError};

use super::eval::count;

#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Folders that `compress` wrote, their run.json files, GGUF files, Hugging Face folders, models of the Hub, or `demo`
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Columns: size, bpw, params, vocab, kld, kld99, same_top, ppl, bits_per_byte, and for any profile decode@PROFILE, prefill@PROFILE,
    /// memory@PROFILE, ttft@PROFILE [default: what is known]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub columns: Vec<Metric>,
    /// Order rows by this column, the best first [default: as given]
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<Metric>,
    /// Tell the difference to this row, named as it was given
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<String>,
    /// Measure every row on this text now, instead of what runs say of themselves
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// The parent that divergence is measured from
    #[arg(long, value_name = "PARENT", requires = "text")]
    pub against: Option<String>,
    /// Chunks of the text [default: all]
    #[arg(long, value_name = "COUNT", value_parser = count, requires = "text")]
    pub chunks: Option<usize>,
    /// Draw a column over the size into an SVG file; can be repeated [default column: kld]
    #[arg(long = "chart", value_name = "[COLUMN=]FILE")]
    pub charts: Vec<ChartArgument>,
}

/// A column and the file that its chart goes to.
#[derive(Debug, Clone)]
pub struct ChartArgument {
    pub metric: Metric,
    pub file: PathBuf,
}

impl FromStr for ChartArgument {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        match text.split_once('=') {
            Some((metric, file)) => Ok(Self { metric: metric.parse()?, file: file.into() }),
            None => Ok(Self { metric: Metric::Divergence, file: text.into() }),
        }
    }
}
