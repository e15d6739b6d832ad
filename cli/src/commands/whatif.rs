//! `secateur whatif`

use anyhow::Context;
use rayon::prelude::*;
use secateur_model::CacheType;
use secateur_model::types::TypeChoice;
use secateur_profiles::cost::{Bound, Machine, Workload};
use secateur_profiles::estimate::{advice, estimate, machine};
use secateur_profiles::profile::{Profile, ProfileError, Runtime};
use secateur_profiles::quantity::Basis;
use secateur_profiles::vision::{Rule, Vision};
use secateur_profiles::{Budget, Estimate, Usage, library};
use secateur_reports::chart::{Chart, Series};
use secateur_reports::whatif::{Advice, ImageRow, WhatIf, WhatIfRow};

use crate::arguments::{CacheTypeArgument, Sort, WhatIfArguments, type_choices};
use crate::console::Console;
use crate::cost_model::CostModel;
use crate::exit::Exit;

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    #[error("a context of {asked} tokens is beyond the model's {longest}; ask for at most that")]
    ContextTooLong { asked: usize, longest: usize },
    #[error("profile `{profile}` has no runtime `{found}`; it has: {known}")]
    UnknownRuntime { profile: String, found: String, known: String },
    #[error(
        "profile `{profile}` does not say what power its device takes, so no energy can be told; add `power`, in watts, to its hardware"
    )]
    UnknownPower { profile: String },
}

/// Refuses a limit of energy where nothing is known of it.
pub fn check_power(profiles: &[Profile], max_energy: Option<f64>) -> Result<(), WhatIfError> {
    let unknown = profiles.iter().find(|profile| max_energy.is_some() && profile.hardware.power.is_none());
    unknown.map_or(Ok(()), |profile| Err(WhatIfError::UnknownPower { profile: profile.id.clone() }))
}

/// Estimates every combination that was asked for.
pub fn run(arguments: &WhatIfArguments, console: &Console) -> anyhow::Result<Exit> {
    let choices = type_choices(&arguments.types)?;
    // side by side, since these two are most of the time until the answer
    let (profiles, model) =
        rayon::join(|| load_profiles(&arguments.profiles), || open(arguments, &choices, console));
    let profiles = profiles?;
    check_power(&profiles, arguments.max_energy)?;
    // clap asks for a model or a size
    let Some(model) = model? else { return Ok(Exit::Usage) };
    let contexts = contexts(&arguments.context, &model)?;
    let image = arguments.image.map(|(width, height)| image_rows(width, height));
    let relaxed = image.as_ref().and_then(|rows| rows.first()).map_or(0, |row| row.tokens);
    let mut record = WhatIf {
        schema: 1,
        model: model.name.clone(),
        parameters: model.parameters(),
        prompt: arguments.prompt + relaxed,
        image: image.unwrap_or_default(),
        rows: rows(arguments, &contexts, relaxed, &profiles, &choices, &model)?,
    };
    if let Some(sort) = arguments.sort {
        sort_rows(&mut record.rows, sort);
    }
    console.result(&record, &record.tables())?;
    notes(&record, &model, console);
    if let Some(file) = &arguments.chart {
        draw(arguments, &contexts, &profiles, &choices, &model, file.as_deref(), console)?;
    }
    let missed = record.rows.iter().any(|row| !row.missed.is_empty());
    Ok(if missed { Exit::BudgetMissed } else { Exit::Done })
}

/// What is asked about; `None` if nothing is.
fn open(
    arguments: &WhatIfArguments,
    choices: &[TypeChoice],
    console: &Console,
) -> anyhow::Result<Option<CostModel>> {
    Ok(match (&arguments.model, arguments.params) {
        (Some(model), _) if choices.is_empty() => Some(CostModel::open_as_stored(model, console)?),
        (Some(model), _) => Some(CostModel::open(model, console)?),
        (None, parameters) => parameters.map(CostModel::of_parameters),
    })
}

/// The profiles that names ask for; `all` asks for every embedded one.
pub fn load_profiles(names: &[String]) -> Result<Vec<Profile>, ProfileError> {
    let load = |name: &String| {
        if name == "all" { library::all() } else { library::find(name).map(|profile| vec![profile]) }
    };
    let loaded: Vec<Result<Vec<Profile>, ProfileError>> = names.par_iter().map(load).collect();
    // the error of the first wrong name, whichever was found first
    Ok(loaded.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// Tokens of a prompt when nobody says.
pub const USUAL_PROMPT: usize = 256;

/// Contexts when nobody says.
pub const USUAL_CONTEXT: usize = 2048;

fn contexts(asked: &[usize], model: &CostModel) -> Result<Vec<usize>, WhatIfError> {
    let longest = model.context_length();
    if asked.is_empty() {
        return Ok(vec![USUAL_CONTEXT.min(longest)]);
    }
    match asked.iter().find(|asked| **asked > longest) {
        Some(&asked) => Err(WhatIfError::ContextTooLong { asked, longest }),
        None => Ok(asked.to_vec()),
    }
}

fn rows(
    arguments: &WhatIfArguments,
    contexts: &[usize],
    image_tokens: usize,
    profiles: &[Profile],
    choices: &[TypeChoice],
    model: &CostModel,
) -> anyhow::Result<Vec<WhatIfRow>> {
    let workloads = workloads(choices, model)?;
    let budget = Budget {
        max_size: arguments.max_size,
        max_memory: arguments.max_memory,
        min_decode: arguments.min_decode,
        min_prefill: arguments.min_prefill,
        max_ttft: arguments.max_ttft,
        max_energy: arguments.max_energy,
    };
    let mut rows = Vec::new();
    for profile in profiles {
        let runtime = runtime_of(profile, arguments.runtime.as_deref())?;
        for (name, workload) in &workloads {
            for &context in contexts {
                let usage = Usage {
                    context,
                    prompt: arguments.prompt + image_tokens,
                    cache: arguments.cache_type.into(),
                    threads: None,
                    loaded: arguments.loaded,
                };
                rows.push(row(profile, runtime, name, workload, &usage, &budget, arguments.explain));
            }
        }
    }
    Ok(rows)
}

/// The model in each type that was asked for, with the type's name.
fn workloads(choices: &[TypeChoice], model: &CostModel) -> anyhow::Result<Vec<(String, Workload)>> {
    if choices.is_empty() {
        let name = if model.has_files() { "as stored" } else { "f16" };
        return Ok(vec![(name.to_owned(), model.workload(None)?)]);
    }
    choices.iter().map(|choice| Ok((choice.to_string(), model.workload(Some(*choice))?))).collect()
}

/// A profile's runtime of that name, or its first.
pub fn runtime_of<'a>(profile: &'a Profile, name: Option<&str>) -> Result<&'a Runtime, WhatIfError> {
    profile.runtime(name).ok_or_else(|| WhatIfError::UnknownRuntime {
        profile: profile.id.clone(),
        found: name.unwrap_or_default().to_owned(),
        known: profile.runtimes.iter().map(|runtime| runtime.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

fn row(
    profile: &Profile,
    runtime: &Runtime,
    tensor_type: &str,
    workload: &Workload,
    usage: &Usage,
    budget: &Budget,
    explained: bool,
) -> WhatIfRow {
    let machine = machine(&profile.hardware, runtime, usage.threads);
    let estimate = estimate(profile, runtime, workload, usage);
    let verdicts = budget.judge_estimate(&estimate);
    let missed = verdicts.iter().filter(|verdict| !verdict.is_kept()).map(|verdict| verdict.limit.to_owned());
    let advice =
        (estimate.bound != Bound::Storage).then(|| advice(&machine, workload, usage, estimate.decode));
    let measured = profile.hardware.bandwidth.values().all(|bandwidth| bandwidth.basis == Basis::Measured);
    WhatIfRow {
        profile: profile.id.clone(),
        runtime: runtime.name.clone(),
        threads: usage.threads.unwrap_or(runtime.threads),
        tensor_type: tensor_type.to_owned(),
        context: usage.context,
        file_bytes: estimate.file_bytes,
        memory_bytes: estimate.memory.total() as u64,
        resident_bytes: estimate.memory.resident() as u64,
        usable_memory_bytes: estimate.usable_memory,
        fits: estimate.fits(),
        decode_tokens_per_second: estimate.decode,
        decode_error: estimate.decode_error,
        prefill_tokens_per_second: estimate.prefill,
        prefill_error: estimate.prefill_error,
        first_token_seconds: estimate.first_token,
        first_token_cold_seconds: estimate.first_token_cold,
        joules_per_token: estimate.energy,
        bound: bound_name(estimate.bound).to_owned(),
        basis: if measured { "measured" } else { "derived" },
        missed: missed.collect(),
        explanation: if explained { explain(workload, &machine, &estimate, usage) } else { Vec::new() },
        advice: advice.map(|(change, speed)| Advice { change, decode_tokens_per_second: speed }),
    }
}

/// As tables name it.
pub fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::Memory => "memory",
        Bound::Compute => "compute",
        Bound::Layers => "layers",
        Bound::Context => "context",
        Bound::Storage => "storage",
    }
}

/// The formula of decoding and prefill with its numbers.
fn explain(workload: &Workload, machine: &Machine, estimate: &Estimate, usage: &Usage) -> Vec<String> {
    let ms = |seconds: f64| format!("{:.3} ms", seconds * 1e3);
    let mut lines = Vec::new();
    for part in workload.parts() {
        lines.push(format!(
            "{}: max({:.1} MB / {:.1} GB/s = {}, {:.1} M weights × {:.2} ps = {})",
            part.format,
            part.bytes / 1e6,
            machine.bandwidth / 1e9,
            ms(part.bytes / machine.bandwidth),
            part.weights / 1e6,
            machine.decode[part.format.index()] * 1e12,
            ms(part.weights * machine.decode[part.format.index()])
        ));
    }
    let time = &estimate.decode_time;
    lines.push(format!(
        "layers: {:.1} × {:.1} us = {}",
        workload.layer_steps,
        machine.fixed_per_layer * 1e6,
        ms(time.layers)
    ));
    lines.push(format!(
        "cache: {} tokens, a cached byte costs {:.1} bytes of weights: {}",
        usage.context / 2,
        machine.cached_byte_cost,
        ms(time.context)
    ));
    if time.storage > 0.0 {
        lines.push(format!(
            "storage: the weights do not stay in memory and are read for every token: {}",
            ms(time.storage)
        ));
    }
    lines.push(format!("decode: {} per token = {:.2} tokens/s", ms(time.total()), estimate.decode));
    let prefill = &estimate.prefill_time;
    lines.push(format!(
        "prefill: multiplications {} + attention {} + memory {} + layers {} per token = {:.1} tokens/s",
        ms(prefill.compute),
        ms(prefill.context),
        ms(prefill.memory + prefill.storage),
        ms(prefill.layers),
        estimate.prefill
    ));
    let memory = &estimate.memory;
    lines.push(format!(
        "memory: weights {:.1} MB + cache {:.1} MB + buffers {:.1} MB + runtime {:.1} MB; copied weights keep {:.1} MB more resident",
        memory.weights / 1e6,
        memory.cache / 1e6,
        memory.buffers / 1e6,
        memory.runtime / 1e6,
        memory.copied / 1e6
    ));
    lines
}

/// The image under the three rules that are in use; the first is the one that counts.
fn image_rows(width: usize, height: usize) -> Vec<ImageRow> {
    let rules = [
        ("relaxed (BlueLM-V)", Rule::Relaxed { threshold: 0.1 }),
        ("most pixels (LLaVA-NeXT)", Rule::MostPixels),
        ("nearest proportions (InternVL 1.5)", Rule::NearestProportions { tiles: 12 }),
    ];
    let row = |(name, rule)| {
        let image = Vision::BLUELM_V.tokens(width, height, rule);
        ImageRow {
            rule: name,
            grid: format!("{}:{}", image.grid.columns, image.grid.rows),
            tiles: image.tiles,
            patches: image.patches,
            tokens: image.tokens,
            chunks: image.chunks,
        }
    };
    rules.into_iter().map(row).collect()
}

fn sort_rows(rows: &mut [WhatIfRow], sort: Sort) {
    let key = |row: &WhatIfRow| match sort {
        Sort::Decode => -row.decode_tokens_per_second,
        Sort::Prefill => -row.prefill_tokens_per_second,
        Sort::Ttft => row.first_token_seconds,
        Sort::Memory => row.memory_bytes as f64,
        Sort::Size => row.file_bytes as f64,
    };
    rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
}

fn notes(record: &WhatIf, model: &CostModel, console: &Console) {
    for row in &record.rows {
        for line in &row.explanation {
            console.note(&format!("{} {} {}: {line}", row.profile, row.tensor_type, row.context));
        }
    }
    if !model.has_files() {
        console.note("file sizes are those of a GGUF without a tokenizer");
    }
    if let [row] = &record.rows[..]
        && let Some(advice) = &row.advice
    {
        console.note(&format!(
            "most would help: {} ({:.1} tokens/s)",
            advice.change, advice.decode_tokens_per_second
        ));
    }
}

/// Points of a sweep over the context.
const POINTS: usize = 24;

fn draw(
    arguments: &WhatIfArguments,
    contexts: &[usize],
    profiles: &[Profile],
    choices: &[TypeChoice],
    model: &CostModel,
    file: Option<&std::path::Path>,
    console: &Console,
) -> anyhow::Result<()> {
    let longest = contexts.iter().copied().max().unwrap_or(1);
    let mut series = Vec::new();
    for profile in profiles {
        let runtime = runtime_of(profile, arguments.runtime.as_deref())?;
        for (name, workload) in &workloads(choices, model)? {
            let point = |at: usize| {
                let context = (longest * at / POINTS).max(1);
                let usage = Usage {
                    context,
                    prompt: arguments.prompt,
                    cache: arguments.cache_type.into(),
                    threads: None,
                    loaded: arguments.loaded,
                };
                (context as f64, estimate(profile, runtime, workload, &usage).decode)
            };
            series.push(Series {
                name: format!("{} {name}", profile.id),
                points: (1..=POINTS).map(point).collect(),
            });
        }
    }
    let chart = Chart {
        title: format!("{}: estimated decoding speed", model.name),
        x: "context, tokens".into(),
        start: 0.0,
        y: "tokens/s".into(),
        series,
        joined: true,
    };
    let Some(path) = file else {
        console.note(&chart.terminal(72, 16));
        return Ok(());
    };
    secateur_model::atomic_file::write_file(path, chart.svg().as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))
}

impl From<CacheTypeArgument> for CacheType {
    fn from(argument: CacheTypeArgument) -> Self {
        match argument {
            CacheTypeArgument::F32 => Self::F32,
            CacheTypeArgument::F16 => Self::F16,
            CacheTypeArgument::Q8_0 => Self::Q8_0,
            CacheTypeArgument::Q4_0 => Self::Q4_0,
        }
    }
}
