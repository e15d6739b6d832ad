//! How far off the predictions of a fit are.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table};

/// Errors of predicted speeds against measured ones, summarised.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FitReport {
    /// The version of this record: 1.
    pub schema: u32,
    /// Rows of the table that are speeds of a known model.
    pub rows: usize,
    /// Rows that are not, or ran from storage.
    pub left_out: usize,
    /// All rows together.
    pub overall: Vec<ErrorRow>,
    /// By device.
    pub devices: Vec<ErrorRow>,
    /// By type.
    pub types: Vec<ErrorRow>,
    /// The predictions that are farthest off.
    pub worst: Vec<WorstRow>,
}

/// Errors of one group.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ErrorRow {
    /// What was kept from the fit.
    pub experiment: &'static str,
    /// Which group.
    pub group: String,
    /// Decoding.
    pub decode: Option<ErrorSummary>,
    /// Prefill.
    pub prefill: Option<ErrorSummary>,
}

/// Absolute relative errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct ErrorSummary {
    /// Predictions.
    pub rows: usize,
    /// Median.
    pub median: f64,
    /// 90th percentile.
    pub ninetieth: f64,
}

/// One prediction.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs)] // columns of the table of measurements
pub struct WorstRow {
    pub experiment: &'static str,
    pub id: String,
    pub device: String,
    pub runtime: String,
    pub model: String,
    pub quant: String,
    pub task: &'static str,
    pub measured: f64,
    pub predicted: f64,
}

impl FitReport {
    /// From the whole to the particular.
    pub fn tables(&self) -> Vec<Table> {
        vec![
            error_table(
                format!("Errors over {} rows ({} left out)", self.rows, self.left_out),
                "",
                &self.overall,
            ),
            error_table("By device".into(), "device", &self.devices),
            error_table("By type".into(), "type", &self.types),
            self.worst_table(),
        ]
    }

    fn worst_table(&self) -> Table {
        let row = |worst: &WorstRow| {
            vec![
                worst.experiment.into(),
                worst.id.as_str().into(),
                worst.device.as_str().into(),
                worst.runtime.as_str().into(),
                worst.model.as_str().into(),
                worst.quant.as_str().into(),
                worst.task.into(),
                Cell::Number(worst.measured, 2),
                Cell::Number(worst.predicted, 2),
            ]
        };
        Table {
            title: "Farthest off".into(),
            columns: vec![
                Column::new("kept from the fit", "experiment"),
                Column::new("row", "id"),
                Column::new("device", "device"),
                Column::new("runtime", "runtime"),
                Column::new("model", "model"),
                Column::new("type", "quant"),
                Column::new("task", "task"),
                Column::new("measured", "measured_tokens_per_second"),
                Column::new("predicted", "predicted_tokens_per_second"),
            ],
            rows: self.worst.iter().map(row).collect(),
        }
    }
}

fn error_table(title: String, group: &'static str, rows: &[ErrorRow]) -> Table {
    let cells = |summary: Option<ErrorSummary>| match summary {
        Some(ErrorSummary { rows, median, ninetieth }) => {
            [Cell::Count(rows as u64), Cell::Share(median), Cell::Share(ninetieth)]
        }
        None => [Cell::Empty, Cell::Empty, Cell::Empty],
    };
    let row = |row: &ErrorRow| {
        let mut out = vec![row.experiment.into(), row.group.as_str().into()];
        out.extend(cells(row.decode));
        out.extend(cells(row.prefill));
        out
    };
    Table {
        title,
        columns: vec![
            Column::new("kept from the fit", "experiment"),
            Column::new(group, "group"),
            Column::new("decode rows", "decode_rows"),
            Column::new("median", "decode_median_error"),
            Column::new("90 %", "decode_ninetieth_error"),
            Column::new("prefill rows", "prefill_rows"),
            Column::new("median", "prefill_median_error"),
            Column::new("90 %", "prefill_ninetieth_error"),
        ],
        rows: rows.iter().map(row).collect(),
    }
}
