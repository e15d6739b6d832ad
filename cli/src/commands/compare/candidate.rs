//! From what the user named to what is known of it.

use std::collections::BTreeMap;

use secateur_compress::RunRecord;
use secateur_profiles::profile::Profile;
use secateur_reports::comparison::{Basis, Candidate, Cost, Figure, Metric};

use super::quality;
use crate::arguments::CompareArguments;
use crate::console::Console;
use crate::cost_model::CostModel;
use crate::device::Asked;
use crate::run_record::{self, RunFiles};

/// Profiles with the names that the user gave them.
pub type Devices = Vec<(String, Profile)>;

/// What a row stands for.
struct Subject {
    candidate: Candidate,
    record: Option<RunRecord>,
    /// As the command line takes models; `None` if a record stands alone.
    word: Option<String>,
    model: Option<CostModel>,
}

/// All rows, and what to know about the devices.
pub fn all(
    arguments: &CompareArguments,
    devices: &Devices,
    console: &Console,
) -> anyhow::Result<(Vec<Candidate>, Vec<String>)> {
    let mut subjects = Vec::new();
    for run in &arguments.runs {
        subjects.push(subject(run, console)?);
    }
    let remarks = estimate_all(&mut subjects, devices)?;
    match &arguments.text {
        Some(text) => {
            let words = subjects.iter().map(|subject| subject.word.as_deref());
            let measured = quality::measure_all(arguments, text, words, console)?;
            for (subject, figures) in subjects.iter_mut().zip(measured) {
                match figures {
                    Some(figures) => subject.candidate.figures.extend(figures),
                    None => subject
                        .candidate
                        .remarks
                        .push("only its record is here, so it was not measured".into()),
                }
            }
        }
        None => {
            for subject in &mut subjects {
                if let Some(record) = &subject.record {
                    subject.candidate.figures.extend(quality::told(record));
                }
            }
        }
    }
    Ok((subjects.into_iter().map(|subject| subject.candidate).collect(), remarks))
}

fn subject(run: &str, console: &Console) -> anyhow::Result<Subject> {
    let mut candidate = Candidate { name: run.to_owned(), figures: BTreeMap::new(), remarks: Vec::new() };
    let Some(files) = RunFiles::of(run) else {
        let model = CostModel::open(run, console)?;
        add_headers(&mut candidate, &model)?;
        return Ok(Subject { candidate, record: None, word: Some(run.to_owned()), model: Some(model) });
    };
    let Some(word) = files.model else {
        let record = run_record::read(&files.record)?;
        add_record(&mut candidate, &record);
        return Ok(Subject { candidate, record: Some(record), word: None, model: None });
    };
    let model = CostModel::open(&word, console)?;
    add_headers(&mut candidate, &model)?;
    let record = match run_record::read(&files.record) {
        Ok(record) => believed(record, &mut candidate),
        Err(error) => {
            candidate.remarks.push(format!("{error}; what it says is left out"));
            None
        }
    };
    Ok(Subject { candidate, record, word: Some(word), model: Some(model) })
}

/// The record, unless it is of another file than the one beside it.
fn believed(record: RunRecord, candidate: &mut Candidate) -> Option<RunRecord> {
    let found = candidate.figures.get(&Metric::Size).map(|figure| figure.value as u64)?;
    if found == record.gguf_bytes {
        return Some(record);
    }
    candidate.remarks.push(format!(
        "model.gguf has {found} bytes where run.json says {}; what run.json says is left out",
        record.gguf_bytes
    ));
    None
}

fn add_headers(candidate: &mut Candidate, model: &CostModel) -> anyhow::Result<()> {
    let bytes = model.workload(None)?.file_bytes;
    add_sizes(candidate, bytes, model.parameters());
    if !model.has_files() {
        for metric in [Metric::Size, Metric::BitsPerWeight] {
            if let Some(figure) = candidate.figures.get_mut(&metric) {
                figure.basis = Basis::Estimated;
            }
        }
        candidate.remarks.push("sizes are those in f16, without a tokenizer: it has no weights here".into());
    }
    if let Some(tokens) = model.vocabulary_size() {
        candidate.figures.insert(Metric::Vocabulary, Figure::exact(tokens as f64));
    }
    Ok(())
}

fn add_record(candidate: &mut Candidate, record: &RunRecord) {
    add_sizes(candidate, record.gguf_bytes as f64, record.parameters);
    if let Some(quality) = &record.quality {
        candidate.figures.insert(Metric::Vocabulary, Figure::exact(quality.vocabulary as f64));
    }
}

fn add_sizes(candidate: &mut Candidate, bytes: f64, parameters: u64) {
    let bits = bytes * 8.0 / parameters.max(1) as f64;
    candidate.figures.extend([
        (Metric::Size, Figure::exact(bytes)),
        (Metric::BitsPerWeight, Figure::exact(bits)),
        (Metric::Parameters, Figure::exact(parameters as f64)),
    ]);
}

/// What each costs on every device, at the longest context that all of them have; and what to know about the devices.
fn estimate_all(subjects: &mut [Subject], devices: &Devices) -> anyhow::Result<Vec<String>> {
    let longest = subjects.iter().filter_map(|subject| subject.model.as_ref()).map(CostModel::context_length);
    let longest = longest.min().unwrap_or(usize::MAX);
    let mut remarks = Vec::new();
    for (name, profile) in devices {
        let device = Asked::new(profile, longest)?;
        for Subject { candidate, model, record, .. } in subjects.iter_mut() {
            let Some(model) = model else { continue };
            let device = device.with_cache(record.as_ref().and_then(|record| record.cache));
            let estimate = device.estimate(&model.workload(None)?);
            let costs = [
                (Cost::Decode, estimate.decode),
                (Cost::Prefill, estimate.prefill),
                (Cost::Memory, estimate.memory.total()),
                (Cost::FirstToken, estimate.first_token),
            ];
            for (cost, value) in costs {
                candidate.figures.insert(Metric::Cost(cost, name.clone()), Figure::estimated(value));
            }
            if !estimate.fits() {
                let context = device.usage.context;
                candidate.remarks.push(format!("does not fit {name} at a context of {context} tokens"));
            }
        }
        remarks.push(format!("{name}: {}", device.precision()));
    }
    Ok(remarks)
}
