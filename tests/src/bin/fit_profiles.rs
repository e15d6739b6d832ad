//! Fits the published measurements, scores the fit, and writes the profiles that follow from it.
//!
//! `cargo run --release -p secateur-tests --bin fit-profiles` prints the tables of docs/profiles.md; with `--write`, it also writes
//! profiles/data/devices. `fit-profiles FILE.tsv` fits and scores another table.

#![allow(clippy::print_stdout)] // the tables are its output

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use clap::Parser;
use secateur_profiles::fit::{
    ExpectedError, Experience, Experiment, Row, Score, descriptions, profile, report, score, summarise,
};
use secateur_profiles::measurement::{self, Measurement};
use secateur_reports::Format;
use secateur_reports::fit::{ErrorRow, ErrorSummary, FitReport, WorstRow};

#[derive(Parser)]
struct Arguments {
    /// A table of measurements; without it, the published ones
    table: Option<std::path::PathBuf>,
    /// Write profiles/data/devices anew
    #[arg(long)]
    write: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let text = match &arguments.table {
        Some(path) => std::fs::read_to_string(path)?,
        None => measurement::PUBLISHED.to_owned(),
    };
    let measurements = measurement::read(&text)?;
    let rows: Vec<Row> = measurements.iter().filter_map(Row::new).collect();
    let (experience, score) = score(&rows);
    let report = to_report(&score, rows.len(), measurements.len() - rows.len());
    for table in report.tables() {
        println!("{}", Format::Markdown.render(&table));
    }
    if arguments.write {
        write_profiles(&measurements, &experience, &score)?;
    }
    Ok(())
}

fn to_report(score: &Score, rows: usize, left_out: usize) -> FitReport {
    let groups = report::groups(score);
    let convert = |rows: &[report::Group]| rows.iter().map(error_row).collect();
    let worst = report::worst(score, 12);
    FitReport {
        schema: 1,
        rows,
        left_out,
        overall: convert(&groups.overall),
        devices: convert(&groups.devices),
        types: convert(&groups.types),
        worst: worst
            .into_iter()
            .map(|error| WorstRow {
                experiment: error.experiment.name(),
                id: error.id.clone(),
                device: error.device.clone(),
                runtime: error.runtime.clone(),
                model: error.model.clone(),
                quant: error.quant.clone(),
                task: if error.is_decode { "decode" } else { "prefill" },
                measured: error.measured,
                predicted: error.predicted,
            })
            .collect(),
    }
}

fn error_row(group: &report::Group) -> ErrorRow {
    let convert = |summary: Option<secateur_profiles::fit::Summary>| {
        summary.map(|s| ErrorSummary { rows: s.rows, median: s.median, ninetieth: s.ninetieth })
    };
    ErrorRow {
        experiment: group.experiment.name(),
        group: group.name.clone(),
        decode: convert(group.decode),
        prefill: convert(group.prefill),
    }
}

fn write_profiles(
    measurements: &[Measurement],
    experience: &Experience,
    score: &Score,
) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/data/devices");
    let mut written = BTreeMap::new();
    for about in descriptions(measurements) {
        let profile = profile(
            &about,
            experience,
            expected_error(score, &about.device, &about.chip.name, &chips(measurements)),
        )
        .ok_or_else(|| format!("{}: the chip has no such processor", about.id))?;
        written.insert(profile.id.clone(), serde_saphyr::to_string(&profile)?);
    }
    let mut list = String::from("// Written by `fit-profiles --write`.\n");
    writeln!(list, "static EMBEDDED: [(&str, &str); {}] = [", written.len())?;
    for (id, text) in &written {
        std::fs::write(folder.join(format!("{id}.yaml")), text)?;
        writeln!(list, "    ({id:?}, include_str!(\"{id}.yaml\")),")?;
    }
    list.push_str("];\n");
    std::fs::write(folder.join("embedded.rs"), list)?;
    Ok(())
}

/// The chip of each device of the table.
fn chips(measurements: &[Measurement]) -> BTreeMap<String, String> {
    measurements.iter().map(|row| (row.device.clone(), row.soc.clone())).collect()
}

/// The median error on models that the fit had not seen, of devices with this chip if there are enough.
fn expected_error(
    score: &Score,
    device: &str,
    chip: &str,
    chips: &BTreeMap<String, String>,
) -> ExpectedError {
    let median = |experiment: Experiment, is_decode: bool, near: bool| {
        let errors = score.errors.iter().filter(|error| {
            let same = error.device == device || chips.get(&error.device).is_some_and(|of| of == chip);
            error.experiment == experiment && error.is_decode == is_decode && (!near || same)
        });
        summarise(errors).filter(|summary| summary.rows >= 5).map(|summary| 100.0 * summary.median)
    };
    let seen = |is_decode: bool| {
        let near = median(Experiment::ModelLeftOut, is_decode, true);
        near.or_else(|| median(Experiment::ModelLeftOut, is_decode, false))
    };
    ExpectedError {
        decode: seen(true),
        prefill: seen(false),
        unseen_decode: median(Experiment::DeviceLeftOut, true, false).unwrap_or(100.0),
        unseen_prefill: median(Experiment::DeviceLeftOut, false, false).unwrap_or(100.0),
    }
}
