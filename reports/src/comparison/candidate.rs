//! What is known of a model before it is compared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Metric;

/// A model that is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What the table calls it.
    pub name: String,
    /// What is known of it.
    pub figures: BTreeMap<Metric, Figure>,
    /// What to know about it.
    pub remarks: Vec<String>,
}

/// A number, how it was obtained, and what it may be compared with.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Figure {
    /// In the unit of its metric.
    pub value: f64,
    /// Its standard error, where it has one.
    pub error: Option<f64>,
    /// How it was obtained.
    pub basis: Basis,
    /// Text, vocabulary and parent that it was judged with; only figures with the same are compared.
    pub judged_on: Option<String>,
}

/// How a number was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Counted.
    Exact,
    /// Measured.
    Measured,
    /// Computed from a model of the device.
    Estimated,
}

impl Figure {
    /// A number that was counted.
    pub fn exact(value: f64) -> Self {
        Self { value, error: None, basis: Basis::Exact, judged_on: None }
    }

    /// A number that a formula gives.
    pub fn estimated(value: f64) -> Self {
        Self { basis: Basis::Estimated, ..Self::exact(value) }
    }

    /// A number that a text has measured.
    pub fn measured(value: f64, error: Option<f64>, judged_on: String) -> Self {
        Self { value, error, basis: Basis::Measured, judged_on: Some(judged_on) }
    }
}
