//! What a search found.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table, units};

/// Plans within limits, and the one that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SearchRecord {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model.
    pub source: String,
    /// What was asked for.
    pub asked: Vec<String>,
    /// Names of the costs.
    pub quantities: Vec<String>,
    /// The plan that was chosen.
    pub chosen: PlanRow,
    /// Plans that were rounded in full and held against each other on text that the search had not seen, the best first; empty if one was taken unheard.
    pub finalists: Vec<FinalistRow>,
    /// Plans of which no other is better in everything, the least damage first.
    pub front: Vec<PlanRow>,
    /// Of several devices, what each could have by itself; empty for one.
    pub alone: Vec<AloneRow>,
    /// The best plan after each round of measurement.
    pub history: Vec<StepRow>,
    /// Passages that what is chosen is measured on.
    pub passages: usize,
    /// Plans that were measured, those on a part of the text counted in part.
    pub evaluations: f64,
    /// Exact bytes of model.gguf by the chosen plan.
    pub gguf_bytes: u64,
    /// Why it ended.
    pub stopped: String,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanRow {
    /// Its shape, in words.
    pub shape: String,
    /// How the bytes share out among types.
    pub types: String,
    /// The divergence from the source that was predicted, in nats per token; an estimate.
    pub predicted: f64,
    /// The same, corrected by what was measured.
    pub expected: f64,
    /// What was measured while searching, each matrix rounded by itself.
    pub measured: Option<f64>,
    /// Its standard error.
    pub measured_error: Option<f64>,
    /// Passages that it was measured on, those of a text that came first. What lost too much on few of them was not measured on more.
    pub passages: usize,
    /// In the order of the quantities.
    pub costs: Vec<f64>,
}

/// What the study knows of one of several devices, as if there were no other.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AloneRow {
    /// The device.
    pub profile: String,
    /// The best plan within its limits.
    pub chosen: PlanRow,
    /// Plans of which no other is better in damage, bytes and every cost there, the least damage first.
    pub front: Vec<PlanRow>,
}

/// A plan that was rounded in full.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FinalistRow {
    /// The plan.
    pub plan: PlanRow,
    /// What it loses, in nats per token of the source.
    pub loss: f64,
    /// Its standard error.
    pub loss_error: Option<f64>,
    /// How much less the best one loses on the same text, in nats per token of the source.
    pub behind: f64,
    /// Its standard error, smaller than those of both losses: texts that are hard are hard for both.
    pub behind_error: Option<f64>,
}

/// A round.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepRow {
    /// Evaluations so far.
    pub evaluations: f64,
    /// Seconds so far.
    pub seconds: f64,
    /// What the best plan loses.
    pub best: f64,
    /// What had been expected of it.
    pub expected: f64,
}

/// Rows of the front in the table.
const SHOWN: usize = 12;

impl SearchRecord {
    /// The chosen plan, and the front.
    pub fn table(&self) -> Table {
        let mut columns = vec![Column::new("plan", "plan"), Column::new("shape", "shape")];
        columns.push(Column::new("size", "bytes"));
        for quantity in self.quantities.iter().skip(1) {
            columns.push(Column::named(heading(quantity), quantity.clone()));
        }
        columns.extend([
            Column::new("expected KL", "expected"),
            Column::new("measured KL", "measured"),
            Column::new("on passages", "passages"),
            Column::new("types", "types"),
        ]);
        let step = self.front.len().div_ceil(SHOWN).max(1);
        let front = self.front.iter().step_by(step).map(|row| self.row("", row));
        let alone = self.alone.iter().map(|alone| {
            let name = format!("for {} alone", alone.profile);
            self.row(&name, &alone.chosen)
        });
        let rows = std::iter::once(self.row("chosen", &self.chosen)).chain(alone).chain(front).collect();
        Table { title: format!("{}: {}", self.source, self.asked.join(", ")), columns, rows }
    }

    fn row(&self, name: &str, plan: &PlanRow) -> Vec<Cell> {
        let mut cells: Vec<Cell> = vec![name.into(), plan.shape.as_str().into()];
        for (quantity, &cost) in self.quantities.iter().zip(&plan.costs) {
            cells.push(if quantity.starts_with("microseconds") {
                Cell::Number(1e6 / cost, 1)
            } else {
                Cell::Bytes(cost as u64)
            });
        }
        cells.push(Cell::Number(plan.expected, 4));
        cells.push(plan.measured.map_or_else(|| "".into(), |measured| Cell::Number(measured, 4)));
        cells.push(self.on_passages(plan).into());
        cells.push(plan.types.as_str().into());
        cells
    }

    /// `2 of 10`; nothing for what was not measured.
    fn on_passages(&self, plan: &PlanRow) -> String {
        match plan.passages {
            0 => String::new(),
            passages => format!("{passages} of {}", self.passages),
        }
    }

    /// What people read below the table, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "{:.1} plans measured, {} on the front; {}",
            self.evaluations,
            self.front.len(),
            self.stopped
        )];
        if let (Some(first), Some(last)) = (self.history.first(), self.history.last()) {
            notes.push(format!(
                "best after the first round {:.4}, after the last {:.4} nats per token (each matrix rounded by itself), {}",
                first.best,
                last.best,
                units::seconds(last.seconds)
            ));
        }
        if let Some((best, others)) = self.finalists.split_first() {
            notes.push(format!(
                "rounded in full, on text not searched with: {}",
                best.in_words(best.loss, best.loss_error)
            ));
            let behind = |other: &FinalistRow| {
                format!("behind it: {}", other.in_words(other.behind, other.behind_error))
            };
            notes.extend(others.iter().map(behind));
        }
        notes
    }
}

impl FinalistRow {
    fn in_words(&self, value: f64, error: Option<f64>) -> String {
        let error = error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
        format!("{value:.4}{error} nats per token, {}, {}", self.plan.shape, self.plan.types)
    }
}

/// A short name of a cost.
fn heading(quantity: &str) -> String {
    quantity
        .replace("bytes of memory on", "memory")
        .replace("microseconds per token of a prompt on", "prompt tokens/s")
        .replace("microseconds per token on", "tokens/s")
}
