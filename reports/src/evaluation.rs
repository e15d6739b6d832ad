//! What `eval` measured.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table, units};

/// Measurements of a model on one or several texts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Evaluation {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model that was measured.
    pub model: String,
    /// What it was compared with: a model, or a base file.
    pub parent: Option<String>,
    /// Tokens of a chunk.
    pub context: usize,
    /// One for each text and model.
    pub predictions: Vec<Prediction>,
    /// One for each text, if there is a parent.
    pub divergences: Vec<Divergence>,
    /// What to know about the numbers.
    pub remarks: Vec<String>,
    /// Tokens that passed a model, each second.
    pub tokens_per_second: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Most memory that the process held, in bytes.
    pub peak_memory: Option<u64>,
}

/// A value with its standard error; none where one chunk is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: Option<f64>,
}

/// How well a model predicts a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Prediction {
    /// The text.
    pub text: String,
    /// The model.
    pub model: String,
    /// Chunks of the text.
    pub chunks: usize,
    /// Tokens that were scored.
    pub tokens: usize,
    /// Bytes that they spell.
    pub bytes: u64,
    /// `exp` of the mean loss of a token; comparable only between models of one tokenizer.
    pub perplexity: Estimate,
    /// Bits of loss over bytes; comparable between tokenizers.
    pub bits_per_byte: Estimate,
    /// Mean loss of a token in nats, chunk by chunk.
    pub loss_of_chunk: Vec<f64>,
}

/// How far a model is from its parent on a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Divergence {
    /// The text.
    pub text: String,
    /// Positions that were compared.
    pub positions: usize,
    /// Mean Kullback-Leibler divergence of the model from its parent, in nats.
    pub mean: Estimate,
    /// Its median.
    pub median: Estimate,
    /// Its 99th percentile.
    pub percentile_99: Estimate,
    /// Its maximum.
    pub maximum: f64,
    /// Share of positions where both hold the same token for the likeliest.
    pub same_top: Estimate,
    /// Correlation of the log-probabilities of the tokens that follow.
    pub correlation: Estimate,
    /// `ln` of the model's perplexity over its parent's.
    pub log_perplexity_ratio: Estimate,
    /// Mean divergence of each chunk.
    pub mean_of_chunk: Vec<f64>,
}

impl Evaluation {
    /// The tables that people read.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.prediction_table()];
        if let Some(parent) = &self.parent {
            tables.push(self.divergence_table(parent));
        }
        tables
    }

    fn prediction_table(&self) -> Table {
        let row = |prediction: &Prediction| {
            let mut row = vec![
                prediction.text.as_str().into(),
                prediction.model.as_str().into(),
                Cell::Count(prediction.chunks as u64),
                Cell::Count(prediction.tokens as u64),
            ];
            row.extend(with_error(prediction.perplexity, 3));
            row.extend(with_error(prediction.bits_per_byte, 4));
            row
        };
        Table {
            title: format!("{}: prediction, contexts of {}", self.model, self.context),
            columns: vec![
                Column::new("text", "text"),
                Column::new("model", "model"),
                Column::new("chunks", "chunks"),
                Column::new("tokens", "tokens"),
                Column::new("perplexity", "perplexity"),
                Column::new("±", "perplexity_error"),
                Column::new("bits/byte", "bits_per_byte"),
                Column::new("±", "bits_per_byte_error"),
            ],
            rows: self.predictions.iter().map(row).collect(),
        }
    }

    fn divergence_table(&self, parent: &str) -> Table {
        let row = |divergence: &Divergence| {
            let mut row = vec![divergence.text.as_str().into(), Cell::Count(divergence.positions as u64)];
            row.extend(with_error(divergence.mean, 5));
            row.extend(with_error(divergence.median, 5));
            row.extend(with_error(divergence.percentile_99, 4));
            row.push(Cell::Number(divergence.maximum, 3));
            row.extend(with_error(divergence.same_top, 4));
            row.extend(with_error(divergence.correlation, 5));
            row.extend(with_error(divergence.log_perplexity_ratio, 4));
            row
        };
        Table {
            title: format!("{} against {parent}: divergence in nats", self.model),
            columns: vec![
                Column::new("text", "text"),
                Column::new("positions", "positions"),
                Column::new("mean", "mean"),
                Column::new("±", "mean_error"),
                Column::new("median", "median"),
                Column::new("±", "median_error"),
                Column::new("99 %", "percentile_99"),
                Column::new("±", "percentile_99_error"),
                Column::new("max", "maximum"),
                Column::new("same top", "same_top"),
                Column::new("±", "same_top_error"),
                Column::new("corr.", "correlation"),
                Column::new("±", "correlation_error"),
                Column::new("ln ratio", "log_perplexity_ratio"),
                Column::new("±", "log_perplexity_ratio_error"),
            ],
            rows: self.divergences.iter().map(row).collect(),
        }
    }

    /// What people read below the tables, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.remarks.clone();
        let memory = self.peak_memory.map(|bytes| format!(", peak memory {}", units::bytes(bytes)));
        notes.push(format!(
            "{} at {:.0} tokens/s{}; ± is the standard error between chunks",
            units::seconds(self.seconds),
            self.tokens_per_second,
            memory.unwrap_or_default()
        ));
        notes
    }
}

/// A value and its error, two cells.
fn with_error(estimate: Estimate, decimals: usize) -> [Cell; 2] {
    let error = estimate.error.map_or(Cell::Empty, |error| Cell::Number(error, decimals));
    [Cell::Number(estimate.value, decimals), error]
}
