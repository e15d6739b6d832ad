//! `secateur check`

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use secateur_compress::RunRecord;
use secateur_model::atomic_file::write_file;
use secateur_profiles::Budget;
use secateur_reports::checks::{Check, Checks, Judged, Side, regressions};

use super::compare::quality::labels;
use crate::arguments::CheckArguments;
use crate::commands::whatif::{check_power, load_profiles};
use crate::console::Console;
use crate::cost_model::CostModel;
use crate::device::{Asked, check};
use crate::exit::Exit;
use crate::run_record::{self, RunFiles};

/// Why a run cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("`{found}` is no run; give a folder that `secateur compress` wrote, or its run.json")]
    NoRun { found: String },
    #[error(
        "`{run}` was not measured, so --max-kld cannot be judged; compress with --max-size, or with --rounding full or gptq, which measure"
    )]
    NotMeasured { run: String },
    #[error(
        "`{run}` is a record without its model, so nothing can be estimated for a device; keep model.gguf beside it"
    )]
    NoModel { run: String },
    #[error("`{}` has {found} bytes where run.json says {expected}; it is not the file that was checked", path.display())]
    OtherFile { path: PathBuf, found: u64, expected: u64 },
}

/// Judges a run by limits and by an earlier run.
pub fn run(arguments: &CheckArguments, console: &Console) -> anyhow::Result<Exit> {
    let (record, model) = open(&arguments.run)?;
    let mut checks = Checks {
        schema: 1,
        run: arguments.run.clone(),
        baseline: arguments.against.clone(),
        checks: budgets(arguments, &record, model.as_deref(), console)?,
        notes: Vec::new(),
    };
    if let Some(baseline) = &arguments.against {
        let (before, _) = open(baseline)?;
        let (regressions, notes) = regressions(&side(&record), &side(&before));
        checks.checks.extend(regressions);
        checks.notes.extend(notes);
    }
    if let Some(file) = &arguments.junit {
        write_file(file, checks.junit().as_bytes())?;
    }
    console.result_with_notes(&checks, &[checks.table()], &checks.notes)?;
    for check in checks.missed() {
        console.note(&format!("missed: {}: found {}, allowed is {}", check.name, check.found, check.allowed));
    }
    tell_github(&checks, console)?;
    Ok(if checks.are_kept() { Exit::Done } else { Exit::BudgetMissed })
}

/// The record, and the model beside it if that is there.
fn open(run: &str) -> anyhow::Result<(RunRecord, Option<String>)> {
    let files = RunFiles::of(run).ok_or_else(|| CheckError::NoRun { found: run.to_owned() })?;
    let record = run_record::read(&files.record)?;
    if let Some(model) = &files.model {
        let path = PathBuf::from(model);
        let found = std::fs::metadata(&path).map_or(0, |file| file.len());
        let expected = record.gguf_bytes;
        if found != expected {
            return Err(CheckError::OtherFile { path, found, expected }.into());
        }
    }
    Ok((record, files.model))
}

fn budgets(
    arguments: &CheckArguments,
    record: &RunRecord,
    model: Option<&str>,
    console: &Console,
) -> anyhow::Result<Vec<Check>> {
    let gates = &arguments.gates;
    let size = Budget { max_size: arguments.max_size, ..Budget::default() };
    let mut checks: Vec<_> =
        size.judge(record.gguf_bytes).iter().map(|verdict| check(verdict, "counted")).collect();
    if let Some(allowed) = gates.max_kld {
        let Some(quality) = &record.quality else {
            return Err(CheckError::NotMeasured { run: arguments.run.clone() }.into());
        };
        checks.push(quality.check(allowed));
    }
    if let Some(profile) = &gates.profile {
        let Some(model) = model else {
            return Err(CheckError::NoModel { run: arguments.run.clone() }.into());
        };
        let model = CostModel::open(model, console)?;
        let profiles = load_profiles(std::slice::from_ref(profile))?;
        check_power(&profiles, gates.max_energy)?;
        for profile in profiles {
            let device = Asked::new(&profile, model.context_length())?.with_cache(record.cache);
            checks.extend(device.checks(&gates.budget(), &model.workload(None)?));
        }
    }
    Ok(checks)
}

fn side(record: &RunRecord) -> Side {
    let judged = record.quality.as_ref().map(|quality| {
        let [text, _, against] = labels(record, quality);
        Judged {
            text,
            against,
            divergence: (quality.divergence.value, quality.divergence.error),
            divergence_of_chunk: quality.divergence_of_chunk.clone(),
            bits_per_byte: (quality.bits_per_byte.value, quality.bits_per_byte.error),
        }
    });
    Side { bytes: record.gguf_bytes, judged }
}

/// In a step of GitHub Actions: its summary, and annotations on what is missed.
fn tell_github(checks: &Checks, console: &Console) -> anyhow::Result<()> {
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    console.annotate(&checks.annotations())?;
    let file = Path::new(&file);
    let mut summary = OpenOptions::new().create(true).append(true).open(file)?;
    summary
        .write_all(checks.summary().as_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))
}
