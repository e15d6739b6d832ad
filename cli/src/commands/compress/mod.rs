//! `secateur compress`

mod calibrated;
mod finals;
mod gates;
mod searched;
mod shape;
mod vocabulary;

use std::collections::BTreeMap;
use std::time::Instant;

use secateur_compress::{Execution, Outcome, compress, peak_memory};
use secateur_model::header_spec::lost_in_gguf;
use secateur_model::plan::{HfPlan, Plan, TensorPlan};
use secateur_model::{CacheType, Checkpoint, Role, TensorType};
use secateur_reports::checks::Check;
use secateur_reports::compression::{
    Change, Compression, Fallback, MeasuredQuality, SmallerShape, SmallerVocabulary,
};

use crate::arguments::CompressArguments;
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;
use calibrated::prepare;
use searched::{is_searched, search_plan};
use shape::cut_shape;
use vocabulary::cut_vocabulary;

pub use calibrated::{CalibratedError, Calibration, Known, know, search_intent};
pub use searched::SearchedError;

/// Plans, and unless this is a dry run, writes the artifact.
pub fn run(arguments: &CompressArguments, seed: u64, console: &Console) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let checkpoint = model_argument::open(&arguments.model, console)?;
    let source_bytes = checkpoint.tensor_bytes();
    let progress = console.progress();
    let (checkpoint, mut vocabulary) = cut_vocabulary(arguments, checkpoint, &progress)?;
    let (shaped, prepared, rounded) = if is_searched(arguments) {
        let found = search_plan(arguments, &checkpoint, seed, &progress)?;
        vocabulary = vocabulary.or(found.vocabulary);
        (found.shaped, found.prepared, found.rounded)
    } else {
        let shaped = cut_shape(arguments, checkpoint, seed, &progress)?;
        let prepared = prepare(arguments, &shaped.checkpoint, seed, &progress)?;
        (shaped, prepared, None)
    };
    let checkpoint = shaped.checkpoint;
    let plan = &prepared.plan;
    let no_text = prepared.held_out.is_empty() && shaped.held_out.is_empty();
    if arguments.gates.max_kld.is_some() && no_text {
        return Err(CalibratedError::NothingMeasures.into());
    }
    let (mut checks, device) = gates::judge(arguments, &checkpoint, plan)?;
    let mut record = planned(&checkpoint, plan, source_bytes, vocabulary, shaped.told);
    if let Some(search) = &shaped.search {
        // with what the shape and the vocabulary lose
        record.expected_divergence = Some(search.chosen.expected);
    }
    record.search = shaped.search;
    match &arguments.out {
        Some(folder) if !arguments.dry_run => {
            let rounded = match rounded {
                Some(rounded) => Some(rounded),
                None => prepared.round(&checkpoint, &progress)?,
            };
            let execution = Execution {
                seed,
                rounded: rounded.as_ref(),
                held_out: if prepared.held_out.is_empty() { &shaped.held_out } else { &prepared.held_out },
                parent: shaped.parent.as_ref(),
                checks: &checks,
                max_divergence: arguments.gates.max_kld,
                device: device.as_ref(),
                search: record.search.as_ref(),
            };
            let outcome = compress(&checkpoint, plan, folder, &execution, &progress)?;
            drop(progress);
            if let Some(rounded) = rounded {
                rounded.remove();
            }
            for repaired in &shaped.repaired {
                // it is in the cache: what stays behind is only space
                let _ = std::fs::remove_file(repaired);
            }
            checks.extend(outcome.divergence_check.clone());
            add_outcome(&mut record, &outcome, started);
            console.result(&record, &[record.table()])?;
        }
        _ => {
            drop(progress);
            console.document(plan)?;
        }
    }
    for note in record.notes().into_iter().chain(prepared.warning()) {
        console.note(&note);
    }
    Ok(announce(&checks, console))
}

fn announce(checks: &[Check], console: &Console) -> Exit {
    let missed = || checks.iter().filter(|check| !check.kept);
    for check in missed() {
        console.note(&format!(
            "budget missed: {}: found {}, allowed is {}",
            check.name, check.found, check.allowed
        ));
    }
    if missed().next().is_none() { Exit::Done } else { Exit::BudgetMissed }
}

fn planned(
    checkpoint: &Checkpoint,
    plan: &Plan,
    source_bytes: u64,
    vocabulary: Option<SmallerVocabulary>,
    shape: Option<SmallerShape>,
) -> Compression {
    let (hf_type, hf_left_out) = match &plan.hf {
        HfPlan::Write(tensor_type) => (Some(tensor_type.to_string()), None),
        HfPlan::Leave(reason) => (None, Some(reason.clone())),
    };
    Compression {
        schema: 1,
        source: plan.source.clone(),
        asked: plan.asked.clone(),
        written: false,
        folder: None,
        source_bytes,
        vocabulary,
        shape,
        search: None,
        gguf_bytes: plan.gguf_bytes,
        parameters: plan.elements(),
        changes: changes(plan),
        fallbacks: fallbacks(plan),
        hf_type,
        hf_left_out,
        warning: lost_in_gguf(&checkpoint.spec),
        rounding: plan.rounding.to_string(),
        cache_options: plan.cache.map(CacheType::llama_options),
        expected_divergence: plan.damage(),
        quality: None,
        worst_tensor: None,
        seconds: None,
        peak_memory: None,
    }
}

fn add_outcome(record: &mut Compression, outcome: &Outcome, started: Instant) {
    let distances = outcome.run.distances.iter();
    let worst = distances.max_by(|a, b| a.relative_squared_error.total_cmp(&b.relative_squared_error));
    record.written = true;
    record.folder = Some(outcome.folder.display().to_string());
    record.worst_tensor = worst.map(|worst| (worst.name.clone(), worst.relative_squared_error));
    record.quality = outcome.run.quality.as_ref().map(measured);
    record.seconds = Some(started.elapsed().as_secs_f64());
    record.peak_memory = peak_memory();
}

fn measured(quality: &secateur_compress::Quality) -> MeasuredQuality {
    MeasuredQuality {
        scored_tokens: quality.scored_tokens,
        divergence: quality.divergence.value,
        divergence_error: quality.divergence.error,
        divergence_99: quality.divergence_99.value,
        same_top: quality.same_top.value,
        source_perplexity: quality.source_perplexity.value,
        perplexity: quality.perplexity.value,
    }
}

/// Tensors of the same role and types together, roles in the order of the model.
fn changes(plan: &Plan) -> Vec<Change> {
    let mut groups: BTreeMap<_, Vec<&TensorPlan>> = BTreeMap::new();
    for tensor in &plan.tensors {
        groups.entry((tensor.id.role, tensor.from, tensor.to)).or_default().push(tensor);
    }
    let change = |((role, from, to), tensors): ((Role, TensorType, TensorType), Vec<&TensorPlan>)| Change {
        role: role.to_string(),
        tensors: tensors.len(),
        from: from.to_string(),
        to: to.to_string(),
        parameters: tensors.iter().map(|tensor| tensor.elements()).sum(),
        bytes: tensors.iter().map(|tensor| tensor.bytes).sum(),
    };
    groups.into_iter().map(change).collect()
}

fn fallbacks(plan: &Plan) -> Vec<Fallback> {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for tensor in plan.fallbacks() {
        let (Some(asked), Some(&row_len)) = (tensor.instead_of, tensor.shape.last()) else { continue };
        groups.entry((asked, tensor.to, row_len)).or_default().push(tensor.name.clone());
    }
    let fallback = |((asked, given, row_len), tensors): ((TensorType, TensorType, usize), _)| Fallback {
        asked: asked.to_string(),
        given: given.to_string(),
        row_len,
        block_len: asked.block_len(),
        tensors,
    };
    groups.into_iter().map(fallback).collect()
}
