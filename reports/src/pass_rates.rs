//! What `eval --pass-until` found.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table};

/// How often a model solves tasks.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PassRates {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model.
    pub model: String,
    /// One for each task, in the order of the file.
    pub tasks: Vec<TaskRow>,
    /// Passes that ended a task.
    pub passes: usize,
    /// Samples after which a task was given up.
    pub cap: usize,
    /// What logits were divided by.
    pub temperature: f32,
    /// Tokens of a sample at most.
    pub max_tokens: usize,
    /// The same seed gives the same samples.
    pub seed: u64,
}

/// How often a model solves one task.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TaskRow {
    /// The prompt, shortened.
    pub prompt: String,
    /// Samples that passed.
    pub passes: usize,
    /// Samples taken.
    pub samples: usize,
    /// The cap ended it before there were enough passes.
    pub cut_off: bool,
    /// The rate, without bias.
    pub rate: f64,
    /// Holds the rate at least 95 times in 100.
    pub interval: (f64, f64),
    /// `passes / samples`, if asked for.
    pub biased_rate: Option<f64>,
}

impl PassRates {
    /// A row for each task, then their mean.
    pub fn table(&self) -> Table {
        let row = |task: &TaskRow| {
            let mut row = vec![
                task.prompt.as_str().into(),
                Cell::Text(task.passes.to_string()),
                Cell::Text(task.samples.to_string()),
                Cell::Number(task.rate, 6),
                Cell::Number(task.interval.0, 6),
                Cell::Number(task.interval.1, 6),
                (if task.cut_off { "at the cap" } else { "" }).into(),
            ];
            row.extend(task.biased_rate.map(|rate| Cell::Number(rate, 6)));
            row
        };
        let mut columns = vec![
            Column::new("task", "task"),
            Column::new("passes", "passes"),
            Column::new("samples", "samples"),
            Column::new("pass rate", "rate"),
            Column::new("95 % from", "interval_from"),
            Column::new("to", "interval_to"),
            Column::new("cut off", "cut_off"),
        ];
        if self.tasks.iter().any(|task| task.biased_rate.is_some()) {
            columns.push(Column::new("biased r/K", "biased_rate"));
        }
        let title = format!(
            "{}: sampled at temperature {} until {} passes, at most {} times",
            self.model, self.temperature, self.passes, self.cap
        );
        Table { title, columns, rows: self.tasks.iter().map(row).collect() }
    }

    /// What people read below the table, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mean = self.tasks.iter().map(|task| task.rate).sum::<f64>() / self.tasks.len().max(1) as f64;
        let mut notes = vec![format!("mean pass rate {mean:.6} over {} tasks", self.tasks.len())];
        let cut_off = self.tasks.iter().filter(|task| task.cut_off).count();
        if cut_off > 0 {
            notes.push(format!("{cut_off} tasks were cut off by --cap: their intervals are wide, raise it"));
        }
        notes
    }
}
