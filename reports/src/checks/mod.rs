//! Whether a run keeps its budgets and is no worse than an earlier one.

mod junit;
mod regression;
mod step;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table};

pub use regression::{Judged, Side, regressions};

/// Every check of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Checks {
    /// The version of this record: 1.
    pub schema: u32,
    /// The run, as the user named it.
    pub run: String,
    /// What it was compared with.
    pub baseline: Option<String>,
    /// In the order in which they were asked for.
    pub checks: Vec<Check>,
    /// What to know about them.
    pub notes: Vec<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// What is limited, for example `max-size` or `kld against the baseline`.
    pub name: String,
    /// True if the limit is kept.
    pub kept: bool,
    /// What was found, as people read it.
    pub found: String,
    /// What is allowed, as people read it.
    pub allowed: String,
    /// How that was decided.
    pub reason: String,
}

impl Checks {
    /// True if all limits are kept.
    pub fn are_kept(&self) -> bool {
        self.missed().next().is_none()
    }

    /// The limits that are not kept.
    pub fn missed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.kept)
    }

    /// One row for each check.
    pub fn table(&self) -> Table {
        let row = |check: &Check| {
            vec![
                Cell::from(check.name.as_str()),
                (if check.kept { "kept" } else { "MISSED" }).into(),
                check.found.as_str().into(),
                check.allowed.as_str().into(),
                check.reason.as_str().into(),
            ]
        };
        Table {
            title: self.run.clone(),
            columns: vec![
                Column::new("check", "check"),
                Column::new("verdict", "verdict"),
                Column::new("found", "found"),
                Column::new("allowed", "allowed"),
                Column::new("because", "reason"),
            ],
            rows: self.checks.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) fn example() -> Checks {
    let check = |name: &str, kept: bool| Check {
        name: name.to_owned(),
        kept,
        found: "600 kB".into(),
        allowed: "at most 500 kB".into(),
        reason: "counted".into(),
    };
    Checks {
        schema: 1,
        run: "out/<a>\n::error::b & \"c\"".into(),
        baseline: None,
        checks: vec![check("max-size", false), check("max-kld", true)],
        notes: vec!["judged on different texts".into()],
    }
}
