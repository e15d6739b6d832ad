//! Calibrates this machine on stock llama.cpp and compares: both fixtures at six types, fitted to all, and each model predicted from the
//! other alone. Takes some minutes; run it when nothing else runs.

#![allow(clippy::print_stdout)] // the table is its output

use std::error::Error;

use secateur_model::CacheType;
use secateur_model::Checkpoint;
use secateur_profiles::calibrate::{calibrate, detect, read_bench, read_speeds, vector_rate};
use secateur_profiles::cost::{decode, prefill};
use secateur_profiles::estimate::machine;
use secateur_profiles::measurement::{Measurement, Task};
use secateur_profiles::profile::Profile;
use secateur_reports::{Cell, Column, Format, Table, units};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge;
use secateur_tests::typed::write_typed;

const TYPES: [&str; 6] = ["q4_0", "q4_k_m", "q5_0", "q6_k", "q8_0", "f16"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut rows: Vec<Measurement> = Vec::new();
    for name in [SMOLLM2, GEMMA] {
        let checkpoint = Checkpoint::open(&fixture(name))?;
        for tensor_type in TYPES {
            let file = write_typed(&checkpoint, tensor_type, folder.path())?;
            let report = judge::speed(&file, &tensor_type.to_uppercase(), 15)?;
            rows.extend(read_bench(&report.to_string())?);
        }
    }
    let (small, large): (Vec<_>, Vec<_>) =
        rows.iter().cloned().partition(|row| row.model.starts_with("SmolLM2"));
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let threads = std::thread::available_parallelism()?.get();
    let here = detect(&cpuinfo, "", threads);
    let speeds = read_speeds(threads);
    let rate = vector_rate();
    for (title, seen, asked) in [
        ("Fitted to all, asked about all", &rows, &rows),
        ("Fitted to SmolLM2, asked about Gemma", &small, &large),
        ("Fitted to Gemma, asked about SmolLM2", &large, &small),
    ] {
        let profile = calibrate(&here, &speeds, rate, seen, "here")?.profile;
        println!("{}", Format::Markdown.render(&compare(title, &profile, asked)));
    }
    Ok(())
}

fn compare(title: &str, profile: &Profile, rows: &[Measurement]) -> Table {
    let mut errors = Vec::new();
    let mut lines = Vec::new();
    for row in rows {
        let (Some(workload), Some(task), Some(runtime)) = (row.workload(), row.task(), profile.runtime(None))
        else {
            continue;
        };
        let machine = machine(&profile.hardware, runtime, row.threads);
        let seconds = match task {
            Task::Decode { context } => decode(&machine, &workload, context, CacheType::F16).total(),
            Task::Prefill { tokens, depth } => prefill(&machine, &workload, tokens, depth).total(),
        };
        let error = 1.0 / seconds / row.value - 1.0;
        errors.push(error.abs());
        lines.push(vec![
            row.model.as_str().into(),
            row.metric.as_str().into(),
            Cell::Number(row.value, 1),
            Cell::Number(1.0 / seconds, 1),
            Cell::Share(error),
        ]);
    }
    errors.sort_unstable_by(f64::total_cmp);
    let median = errors.get(errors.len() / 2).copied().unwrap_or(0.0);
    Table {
        title: format!("{title}: median error {}", units::percent(median)),
        columns: vec![
            Column::new("file", "file"),
            Column::new("task", "task"),
            Column::new("measured/s", "measured"),
            Column::new("predicted/s", "predicted"),
            Column::new("error", "error"),
        ],
        rows: lines,
    }
}
