//! The JSON Schemas of what commands print with `--json`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

/// What is printed in place of a result where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failed {
    /// What went wrong.
    pub error: Failure,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// In words: what, where, what to do.
    pub message: String,
    /// With what the program ends.
    pub exit_code: i32,
}

/// A document by its name, and what makes its schema.
pub type Document = (&'static str, fn() -> Schema);

/// Every document, named after the command that prints it.
pub const ALL: [Document; 15] = [
    ("calibrate", of::<crate::calibration::Calibration>),
    ("check", of::<crate::checks::Checks>),
    ("compare", of::<crate::comparison::Comparison>),
    ("compress", of::<crate::compression::Compression>),
    ("error", of::<Failed>),
    ("eval", of::<crate::evaluation::Evaluation>),
    ("eval-pass-until", of::<crate::pass_rates::PassRates>),
    ("inspect", of::<crate::inspection::Inspection>),
    ("profiles-check", of::<crate::devices::Checked>),
    ("profiles-list", of::<crate::devices::DeviceList>),
    ("profiles-match", of::<crate::devices::Matches>),
    ("profiles-score", of::<crate::fit::FitReport>),
    ("pull", of::<crate::pull::Pull>),
    ("search", of::<crate::search::SearchRecord>),
    ("whatif", of::<crate::whatif::WhatIf>),
];

/// What is printed of a type: what may be left out is not required.
fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>()
}
