//! The artifact: a folder that holds the model and everything that tells where it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use schemars::{JsonSchema, Schema};
use secateur_model::plan::{HfPlan, Plan};
use secateur_model::{CacheType, Checkpoint, HubSource};
use secateur_reports::checks::Check;
use secateur_reports::report::Device;
use secateur_reports::search::SearchRecord;
use serde::{Deserialize, Serialize};

use crate::apply::write_gguf;
use crate::card::model_card;
use crate::checksum::{sha256_file, sha256_sums, sizes};
use crate::hf_folder::write_hf_folder;
use crate::progress::Progress;
use crate::quality::{Quality, quality};
use crate::report::Told;
use crate::rounding::RoundedStore;
use crate::samples::samples;
use crate::statistics::Sequence;
use crate::verify::{TensorDistance, verify};
use crate::{CompressError, staging};

/// The model in the format that llama.cpp loads.
pub const GGUF_NAME: &str = "model.gguf";
/// The model in the format that transformers loads.
const HF_NAME: &str = "hf";
/// What was done.
const PLAN_NAME: &str = "plan.yaml";
/// How it went.
pub const RUN_NAME: &str = "run.json";
/// The same for people: a page, and Markdown.
const PAGE_NAME: &str = "report.html";
const MARKDOWN_NAME: &str = "report.md";
const CARD_NAME: &str = "README.md";
const SUMS_NAME: &str = "SHA256SUMS";

/// What was done, with what, and how long it took.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// The version of this record: 1.
    pub schema: u32,
    /// This program's.
    pub version: String,
    /// The model that was cut, as it names itself.
    pub source: String,
    /// What was asked for.
    pub asked: Vec<String>,
    /// Where on the Hub the source came from, if it did.
    pub origin: Option<HubSource>,
    /// Every file that was read, with its hash.
    pub sources: Vec<SourceFile>,
    /// Where all that is random began.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// Wall time of each stage, in seconds.
    pub seconds: BTreeMap<String, f64>,
    /// Most memory that the process held, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Bytes of model.gguf.
    pub gguf_bytes: u64,
    /// Numbers in all its tensors.
    pub parameters: u64,
    /// How a runtime is to keep keys and values, if not in `f16`: what memory, speed and loss are told for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache: Option<CacheType>,
    /// What was lost, measured on text that was not calibrated on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quality: Option<Quality>,
    /// How far each written tensor is from its source.
    pub distances: Vec<TensorDistance>,
}

impl RunRecord {
    /// The version of run.json that this program writes and reads.
    pub const SCHEMA: u32 = 1;

    /// What run.json may hold, as a JSON Schema.
    pub fn json_schema() -> Schema {
        schemars::schema_for!(Self)
    }
}

/// A file that was read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SourceFile {
    /// Its name, without its folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// A finished artifact.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether the divergence is within what is allowed, if that was asked.
    pub divergence_check: Option<Check>,
    /// As in run.json.
    pub run: RunRecord,
    /// Where it is.
    pub folder: PathBuf,
}

/// What a plan does not say of how it is carried out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Execution<'a> {
    /// Where all that is random began.
    pub seed: u64,
    /// Matrices that are rounded already; without them, each number is rounded to the nearest.
    pub rounded: Option<&'a RoundedStore>,
    /// Sequences of tokens on which the artifact is measured against its source; none if it is empty.
    pub held_out: &'a [Sequence],
    /// What it is measured against, where that is not the source as it is given: the source before its shape was cut.
    pub parent: Option<&'a Checkpoint>,
    /// Budgets that were set and whether they are kept, for the report.
    pub checks: &'a [Check],
    /// The largest divergence that is allowed: a larger one is told, and stops nothing.
    pub max_divergence: Option<f64>,
    /// What the artifact costs on a device, for the report.
    pub device: Option<&'a Device>,
    /// What was searched through, for the report.
    pub search: Option<&'a SearchRecord>,
}

/// Carries out a plan: writes the artifact beside its place, checks it, measures it, moves it there. `seed` is recorded.
///
/// # Errors
/// [`CompressError`]; `folder` is then as it was before.
pub fn compress(
    checkpoint: &Checkpoint,
    plan: &Plan,
    folder: &Path,
    execution: &Execution,
    progress: &dyn Progress,
) -> Result<Outcome, CompressError> {
    let staging = staging::Staging::begin(folder, checkpoint)?;
    let mut seconds = BTreeMap::new();
    let mut timed = |stage: &'static str, started: Instant| {
        seconds.insert(stage.to_owned(), started.elapsed().as_secs_f64());
    };
    let gguf = staging.path().join(GGUF_NAME);

    let started = Instant::now();
    let sources = hash_sources(checkpoint, progress)?;
    timed("hash", started);

    let started = Instant::now();
    progress.begin("writing", plan.elements());
    write_gguf(checkpoint, plan, &gguf, execution.rounded, progress)?;
    timed("write", started);

    let started = Instant::now();
    progress.begin("checking", plan.elements());
    let distances = verify(checkpoint, plan, &gguf, execution.rounded, progress)?;
    timed("verify", started);

    let started = Instant::now();
    let parent = execution.parent.unwrap_or(checkpoint);
    let quality = quality(parent, (&gguf, plan.cache), execution.held_out, progress)?;
    timed("measure", started);

    if let HfPlan::Write(tensor_type) = plan.hf {
        let started = Instant::now();
        progress.begin("writing hf", plan.elements());
        write_hf_folder(checkpoint, tensor_type, &staging.path().join(HF_NAME), progress)?;
        timed("hf", started);
    }

    let text = serde_saphyr::to_string(plan)
        .map_err(|error| CompressError::PlanText { reason: error.to_string() })?;
    staging.write(PLAN_NAME, text.as_bytes())?;
    let card = model_card(checkpoint, plan, quality.as_ref());
    staging.write(CARD_NAME, card.as_bytes())?;
    let divergence_check =
        execution.max_divergence.zip(quality.as_ref()).map(|(allowed, quality)| quality.check(allowed));
    let checks: Vec<Check> = execution.checks.iter().cloned().chain(divergence_check.clone()).collect();
    let told = Told {
        checkpoint,
        parent,
        plan,
        plan_text: &text,
        seed: execution.seed,
        checks: &checks,
        device: execution.device,
        search: execution.search,
        sources: &sources,
        quality: quality.as_ref(),
        distances: &distances,
        samples: samples(parent, &gguf, quality.is_some(), progress)?,
    };
    let report = told.report();
    staging.write(PAGE_NAME, report.html().as_bytes())?;
    staging.write(MARKDOWN_NAME, report.markdown().as_bytes())?;
    let sums = sha256_sums(staging.path(), progress)?;
    staging.write(SUMS_NAME, sums.as_bytes())?;
    let run = RunRecord {
        schema: RunRecord::SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: plan.source.clone(),
        asked: plan.asked.clone(),
        origin: checkpoint.hub.clone(),
        sources,
        seed: execution.seed,
        threads: rayon::current_num_threads(),
        seconds,
        peak_memory: peak_memory(),
        gguf_bytes: plan.gguf_bytes,
        parameters: plan.elements(),
        cache: plan.cache,
        quality,
        distances,
    };
    // the one file that differs between two runs: it tells times, and is not in SHA256SUMS
    let json = serde_json::to_vec_pretty(&run)
        .map_err(|error| CompressError::PlanText { reason: error.to_string() })?;
    staging.write(RUN_NAME, &json)?;
    let folder = staging.finish()?;
    Ok(Outcome { divergence_check, run, folder })
}

fn hash_sources(checkpoint: &Checkpoint, progress: &dyn Progress) -> Result<Vec<SourceFile>, CompressError> {
    // the demo model is in no file
    let weights = checkpoint.weight_files().filter(|path| path.is_file()).map(Path::to_owned);
    let files: Vec<PathBuf> = weights.chain(checkpoint.description_files()).collect();
    progress.begin("hashing", sizes(&files));
    files
        .iter()
        .map(|path| {
            let (bytes, sha256) = sha256_file(path, progress)?;
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Ok(SourceFile { name, bytes, sha256 })
        })
        .collect()
}

/// Most memory that this process held so far, in bytes; Linux tells, others do not.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
