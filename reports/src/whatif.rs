//! What a model would cost on devices.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table, units};

/// The answer to `whatif`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WhatIf {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model.
    pub model: String,
    /// Weights in all matrices.
    pub parameters: u64,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// The image before the prompt, by the rule that cuts it; the first counts. Empty without an image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image: Vec<ImageRow>,
    /// One for each combination.
    pub rows: Vec<WhatIfRow>,
}

/// An image as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImageRow {
    /// How the grid is chosen.
    pub rule: &'static str,
    /// Columns and rows of tiles.
    pub grid: String,
    /// Tiles, with one of the whole image.
    pub tiles: usize,
    /// Before downsampling.
    pub patches: usize,
    /// After it.
    pub tokens: usize,
    /// Passes of prefill.
    pub chunks: usize,
}

/// One combination of device, runtime, type and context. All numbers are estimated.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WhatIfRow {
    /// Id of the profile.
    pub profile: String,
    /// Runtime.
    pub runtime: String,
    /// Threads.
    pub threads: usize,
    /// Type of the matrices.
    pub tensor_type: String,
    /// Longest context in tokens.
    pub context: usize,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes that have to be in memory at the peak.
    pub memory_bytes: u64,
    /// The same with mapped weights that are in memory a second time; the system drops these first.
    pub resident_bytes: u64,
    /// Bytes that an app may use.
    pub usable_memory_bytes: u64,
    /// The peak is within that.
    pub fits: bool,
    /// Tokens per second.
    pub decode_tokens_per_second: f64,
    /// Median error of such estimates, as a part.
    pub decode_error: f64,
    /// Tokens per second.
    pub prefill_tokens_per_second: f64,
    /// Median error of such estimates, as a part.
    pub prefill_error: f64,
    /// To the first token, the file in memory.
    pub first_token_seconds: f64,
    /// To the first token, the file on disk.
    pub first_token_cold_seconds: Option<f64>,
    /// Per decoded token.
    pub joules_per_token: Option<f64>,
    /// What holds decoding up: memory, compute, layers, context or storage.
    pub bound: String,
    /// `measured` where the profile was fitted to speeds of the device, `derived` else.
    pub basis: &'static str,
    /// Limits that are missed.
    pub missed: Vec<String>,
    /// What would make it faster.
    pub advice: Option<Advice>,
    /// The formulas with their numbers, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
}

/// A change and what it gives.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Advice {
    /// What to change.
    pub change: String,
    /// What decoding then reaches.
    pub decode_tokens_per_second: f64,
}

impl WhatIf {
    /// The image, if there is one, and a row for each combination.
    pub fn tables(&self) -> Vec<Table> {
        let image = (!self.image.is_empty()).then(|| self.image_table());
        image.into_iter().chain([self.table()]).collect()
    }

    fn image_table(&self) -> Table {
        let row = |row: &ImageRow| {
            let counts =
                [row.tiles, row.patches, row.tokens, row.chunks].map(|count| Cell::Text(count.to_string()));
            [row.rule.into(), row.grid.as_str().into()].into_iter().chain(counts).collect()
        };
        Table {
            title: "The image as tokens".into(),
            columns: vec![
                Column::new("rule", "rule"),
                Column::new("grid", "grid"),
                Column::new("tiles", "tiles"),
                Column::new("patches", "patches"),
                Column::new("tokens", "tokens"),
                Column::new("chunks", "chunks"),
            ],
            rows: self.image.iter().map(row).collect(),
        }
    }

    fn table(&self) -> Table {
        Table {
            title: format!(
                "{}, {} weights, prompt of {} tokens; every number is estimated",
                self.model,
                units::count(self.parameters),
                self.prompt
            ),
            columns: vec![
                Column::new("profile", "profile"),
                Column::new("runtime", "runtime"),
                Column::new("type", "type"),
                Column::new("context", "context"),
                Column::new("file", "file_bytes"),
                Column::new("memory", "memory_bytes"),
                Column::new("decode/s", "decode_tokens_per_second"),
                Column::new("±", "decode_error"),
                Column::new("prefill/s", "prefill_tokens_per_second"),
                Column::new("first token", "first_token_seconds"),
                Column::new("cold", "first_token_cold_seconds"),
                Column::new("J/token", "joules_per_token"),
                Column::new("bound", "bound"),
                Column::new("basis", "basis"),
                Column::new("verdict", "verdict"),
            ],
            rows: self.rows.iter().map(WhatIfRow::cells).collect(),
        }
    }
}

impl WhatIfRow {
    fn cells(&self) -> Vec<Cell> {
        let seconds = |seconds: f64| Cell::Number(seconds, if seconds < 10.0 { 2 } else { 0 });
        vec![
            self.profile.as_str().into(),
            format!("{}, {} threads", self.runtime, self.threads).into(),
            self.tensor_type.as_str().into(),
            Cell::Text(self.context.to_string()),
            Cell::Bytes(self.file_bytes),
            Cell::Bytes(self.memory_bytes),
            Cell::Number(self.decode_tokens_per_second, decimals(self.decode_tokens_per_second)),
            Cell::Share(self.decode_error),
            Cell::Number(self.prefill_tokens_per_second, decimals(self.prefill_tokens_per_second)),
            seconds(self.first_token_seconds),
            self.first_token_cold_seconds.map_or(Cell::Empty, seconds),
            self.joules_per_token.map_or(Cell::Empty, |joules| Cell::Number(joules, 2)),
            self.bound.as_str().into(),
            self.basis.into(),
            self.verdict().into(),
        ]
    }

    /// `yes`, or what is missed.
    pub fn verdict(&self) -> String {
        let mut missed = self.missed.clone();
        if !self.fits {
            missed.insert(0, "memory of the device".into());
        }
        if missed.is_empty() { "yes".into() } else { format!("no: {}", missed.join(", ")) }
    }
}

fn decimals(speed: f64) -> usize {
    match speed {
        speed if speed < 10.0 => 2,
        speed if speed < 100.0 => 1,
        _ => 0,
    }
}
