//! The tables that page and Markdown share.

use std::collections::BTreeSet;

use super::{Report, WithError};
use crate::{Cell, Column, Table, units};

impl Report {
    /// One line on size and loss.
    pub(super) fn headline(&self) -> String {
        let share = self.after.bytes as f64 / self.before.bytes.max(1) as f64;
        format!(
            "{} instead of {} ({}), {:.2} bits per weight",
            units::bytes(self.after.bytes),
            units::bytes(self.before.bytes),
            units::percent(share),
            self.after.bits_per_weight()
        )
    }

    /// Source beside artifact.
    pub(super) fn before_and_after(&self) -> Table {
        let (before, after) = (&self.before, &self.after);
        let mut rows = vec![
            row("size", units::bytes(before.bytes), units::bytes(after.bytes)),
            row("parameters", units::count(before.parameters), units::count(after.parameters)),
            row(
                "bits per weight",
                format!("{:.2}", before.bits_per_weight()),
                format!("{:.2}", after.bits_per_weight()),
            ),
            row("tokens in the vocabulary", before.vocabulary.to_string(), after.vocabulary.to_string()),
            row("layers", before.layers.to_string(), after.layers.to_string()),
        ];
        if let Some(loss) = &self.loss {
            rows.push(row("perplexity", shown(loss.perplexity.0, 2), shown(loss.perplexity.1, 2)));
            let bits = loss.bits_per_byte;
            rows.push(row("bits per byte of text", shown(bits.0, 4), shown(bits.1, 4)));
        }
        table(&[("", "what"), ("source", "source"), ("artifact", "artifact")], rows)
    }

    /// What was lost.
    pub(super) fn quality(&self) -> Option<Table> {
        let loss = self.loss.as_ref()?;
        let mut rows = vec![
            vec!["mean divergence, nats per token".into(), shown(loss.divergence, 4).into()],
            vec!["99 of 100 tokens diverge at most".into(), shown(loss.divergence_99, 3).into()],
            vec!["same likeliest token, %".into(), percent(loss.same_top).into()],
        ];
        if let Some(expected) = self.expected_divergence {
            rows.push(vec![
                "divergence expected by the plan (estimated)".into(),
                format!("{expected:.4}").into(),
            ]);
        }
        Some(table(&[("", "what"), ("measured", "value")], rows))
    }

    /// What was lost on each text; `None` if there is only one.
    pub(super) fn domains(&self) -> Option<Table> {
        let domains = &self.loss.as_ref()?.domains;
        let row = |domain: &super::Domain| {
            vec![
                domain.text.as_str().into(),
                Cell::Whole(domain.scored_tokens as u64),
                shown(domain.divergence, 4).into(),
                percent(domain.same_top).into(),
                shown(domain.bits_per_byte.0, 4).into(),
                shown(domain.bits_per_byte.1, 4).into(),
            ]
        };
        let columns = [
            ("text", "text"),
            ("tokens", "tokens"),
            ("nats per token", "divergence"),
            ("same likeliest, %", "same_top"),
            ("bits per byte, source", "source_bits_per_byte"),
            ("artifact", "bits_per_byte"),
        ];
        (!domains.is_empty()).then(|| table(&columns, domains.iter().map(row).collect()))
    }

    /// What was lost on each passage, most first; `None` if there is only one.
    pub(super) fn passages(&self) -> Option<Table> {
        let mut passages = self.loss.as_ref()?.passages.clone();
        if passages.len() < 2 {
            return None;
        }
        passages.sort_by(|a, b| b.1.total_cmp(&a.1));
        let rows =
            passages.into_iter().map(|(begins, divergence)| vec![begins.into(), Cell::Number(divergence, 4)]);
        Some(table(&[("passage", "passage"), ("nats per token", "divergence")], rows.collect()))
    }

    /// Where the bytes went.
    pub(super) fn roles(&self) -> Table {
        let mut roles: Vec<&str> = Vec::new();
        for tensor in &self.tensors {
            if !roles.contains(&tensor.role.as_str()) {
                roles.push(&tensor.role);
            }
        }
        let all: u64 = self.tensors.iter().map(|tensor| tensor.to.1).sum();
        let row = |role: &str| {
            let tensors = || self.tensors.iter().filter(|tensor| tensor.role == role);
            let types: BTreeSet<&str> = tensors().map(|tensor| tensor.to.0.as_str()).collect();
            let bytes: u64 = tensors().map(|tensor| tensor.to.1).sum();
            let elements: u64 = tensors().map(|tensor| tensor.elements).sum();
            vec![
                Cell::from(role),
                Cell::Whole(tensors().count() as u64),
                types.into_iter().collect::<Vec<_>>().join(", ").into(),
                Cell::Bytes(tensors().map(|tensor| tensor.from.1).sum()),
                Cell::Bytes(bytes),
                Cell::Number(bytes as f64 * 8.0 / elements.max(1) as f64, 2),
                Cell::Share(bytes as f64 / all.max(1) as f64),
            ]
        };
        let rows: Vec<_> = roles.into_iter().map(row).collect();
        let columns = [
            ("role", "role"),
            ("tensors", "tensors"),
            ("types", "types"),
            ("before", "bytes_before"),
            ("after", "bytes_after"),
            ("bits/weight", "bits_per_weight"),
            ("share", "share"),
        ];
        table(&columns, rows)
    }

    /// The budgets that were set.
    pub(super) fn verdicts(&self) -> Table {
        let verdict = |kept: bool| if kept { "kept" } else { "MISSED" };
        let rows = self.checks.iter().map(|check| {
            let cells = [check.name.as_str(), verdict(check.kept), &check.found, &check.allowed];
            cells.map(Cell::from).to_vec()
        });
        let columns =
            [("budget", "budget"), ("verdict", "verdict"), ("found", "found"), ("allowed", "allowed")];
        table(&columns, rows.collect())
    }
}

fn row(name: &str, before: String, after: String) -> Vec<Cell> {
    vec![name.into(), before.into(), after.into()]
}

fn table(columns: &[(&'static str, &'static str)], rows: Vec<Vec<Cell>>) -> Table {
    let columns = columns.iter().map(|(title, key)| Column::new(title, key)).collect();
    Table { title: String::new(), columns, rows }
}

/// A share with its standard error, in hundredths.
fn percent((share, error): WithError) -> String {
    shown((share * 100.0, error.map(|error| error * 100.0)), 1)
}

/// A value with its standard error.
pub(super) fn shown((value, error): WithError, decimals: usize) -> String {
    let error = error.map_or(String::new(), |error| format!(" ± {error:.decimals$}"));
    format!("{value:.decimals$}{error}")
}
