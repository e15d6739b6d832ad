//! Scores of a fit as a record of `reports`.

use secateur_profiles::fit::{Error, Summary, report};
use secateur_reports::fit::{ErrorRow, ErrorSummary, FitReport, WorstRow};

/// The record that tables are made of.
pub fn to_report(groups: &report::Groups, worst: &[&Error], rows: usize, left_out: usize) -> FitReport {
    let convert = |rows: &[report::Group]| rows.iter().map(error_row).collect();
    FitReport {
        schema: 1,
        rows,
        left_out,
        overall: convert(&groups.overall),
        devices: convert(&groups.devices),
        types: convert(&groups.types),
        worst: worst.iter().map(|error| worst_row(error)).collect(),
    }
}

fn worst_row(error: &Error) -> WorstRow {
    WorstRow {
        experiment: error.experiment.name(),
        id: error.id.clone(),
        device: error.device.clone(),
        runtime: error.runtime.clone(),
        model: error.model.clone(),
        quant: error.quant.clone(),
        task: if error.is_decode { "decode" } else { "prefill" },
        measured: error.measured,
        predicted: error.predicted,
    }
}

fn error_row(group: &report::Group) -> ErrorRow {
    let convert = |summary: Option<Summary>| {
        summary.map(|s| ErrorSummary { rows: s.rows, median: s.median, ninetieth: s.ninetieth })
    };
    ErrorRow {
        experiment: group.experiment.name(),
        group: group.name.clone(),
        decode: convert(group.decode),
        prefill: convert(group.prefill),
    }
}
