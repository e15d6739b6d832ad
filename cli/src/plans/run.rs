//! From what is known of a model to the best plan within limits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secateur_compress::allocation::{Choice, Knowledge, MatrixOptions, cheapest};
use secateur_compress::progress::Progress as _;
use secateur_compress::rounding::Importance;
use secateur_compress::statistics::{Statistics, sequences_fingerprint};
use secateur_compress::{CompressError, Intent, plan_choices};
use secateur_model::plan::Plan;
use secateur_model::{Checkpoint, TensorId};
use secateur_reports::search::{PlanRow, SearchRecord, StepRow};
use secateur_search::{
    Budgets, Candidate, Genome, Limit, Outcome, Preset, Search, SearchError, Stopped, Study, StudyError,
    Surrogate,
};

use super::costs::{Device, Limits};
use super::measure::Measurer;
use super::predict::Predictor;
use super::shapes::Shapes;
use super::space::{Choices, SHAPE};
use crate::cache;
use crate::console::{Bar, SearchProgress};

/// What repair leaves of what a shape loses, until that is measured: about half (docs/shapes.md).
const LEFT_BY_REPAIR: f64 = 0.5;

/// Sequences that plans are measured on.
const SEQUENCES: usize = 16;

/// How long to search.
#[derive(Debug, Clone)]
pub struct Effort {
    pub preset: Preset,
    pub limit: Limit,
    pub seed: u64,
    /// Where measurements are kept; in the cache if it is not said.
    pub study: Option<PathBuf>,
}

/// The plan that was found, and what became of the model.
pub struct Searched {
    pub plan: Plan,
    /// The model in the plan's shape.
    pub model: Checkpoint,
    /// False if its shape is the source's.
    pub is_cut: bool,
    /// Files of repaired tensors in the cache.
    pub repaired: Vec<PathBuf>,
    pub record: SearchRecord,
}

/// A search that found no plan within limits, told in the words of the model.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "no plan is within the limits: the nearest has {needed:.0} {binding}, {limit:.0} are allowed; it is the model {shape}, with {types}"
    )]
    NothingFits { binding: String, limit: f64, needed: f64, shape: String, types: String },
    #[error("a search wants to write its plan with full rounding, not {found}; leave `--rounding` out")]
    Rounding { found: String },
    #[error("`{option}` decides what the search is to decide; leave it out, or leave `--profile` out")]
    Decided { option: &'static str },
}

/// Finds the best plan of a model within limits on devices.
pub fn search(
    whole: &Checkpoint,
    (statistics, knowledge): (&Statistics, &Knowledge),
    intent: &Intent,
    (limits, devices): (&Limits, &[Device]),
    effort: &Effort,
    progress: &Bar,
) -> anyhow::Result<Searched> {
    let shapes = Shapes::new(whole, statistics, progress)?;
    let choices = Choices::new(&shapes.all, sorted(&knowledge.options))?;
    let sequences = spread(statistics.sequences(), SEQUENCES);
    let measurer = Measurer::new(&shapes, &choices, importance(statistics, knowledge, whole)?, &sequences)?;
    let mut damages = vec![0.0];
    let mut rests = Vec::new();
    progress.begin("trying shapes", shapes.all.len() as u64);
    for shape in 0..shapes.all.len() {
        progress.check()?;
        let bare = shapes.bare(shape)?;
        if shape > 0 {
            damages.push(LEFT_BY_REPAIR * measurer.divergences(&bare, 0..1)?.iter().sum::<f64>());
        }
        rests.push(rest(&bare, &choices, &shapes, shape, intent)?);
        progress.advance(1);
    }
    let predictor = Predictor::new(&choices, &shapes.all, &damages, &rests, devices);
    let mut allowed = vec![limits.size.map(|bytes| bytes as f64)];
    allowed.extend(devices.iter().flat_map(|device| device.limits(limits)));
    let budgets = Budgets::new(predictor.quantities(), &allowed)?;
    let mut study = open_study(effort, statistics, &sequences, &choices)?;
    if let Some(damage) = study.damaged() {
        progress.note(&format!(
            "{} lines of the study were damaged, the first is line {}; the others are used",
            damage.lines, damage.first_line
        ));
    }
    let starts =
        limits.size.and_then(|bytes| by_types_alone(&choices, bytes, rests[0])).into_iter().collect();
    let searching = Search::new(&choices.space, &predictor, budgets, effort.preset.settings(effort.seed))?
        .starting_from(starts)?
        .limited(effort.limit);
    let outcome = searching
        .run(&measurer, &mut study, &SearchProgress::new(progress, effort.limit))
        .map_err(|error| in_words(error, &choices, &shapes))?;
    if outcome.stopped == Stopped::Interrupted {
        return Err(CompressError::Interrupted.into());
    }
    let chosen = &outcome.chosen.genome;
    let shape = chosen.level(SHAPE);
    let model = shapes.model(shape)?.clone();
    let plan = plan_choices(&model, &choices_of(&choices, &shapes, chosen), intent)?;
    let record = record(&outcome, &plan, predictor.quantities(), &choices, &shapes);
    Ok(Searched { plan, model, is_cut: shape > 0, repaired: shapes.files(), record })
}

/// Options from the smallest to the largest, so that neighbouring levels are neighbouring sizes.
fn sorted(options: &[MatrixOptions]) -> Vec<MatrixOptions> {
    let mut options = options.to_vec();
    for matrix in &mut options {
        matrix.choices.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(b.damage.total_cmp(&a.damage)));
    }
    options
}

/// So many sequences from all over the text.
fn spread(sequences: &[Vec<u32>], count: usize) -> Vec<Vec<u32>> {
    let count = count.min(sequences.len());
    (0..count).map(|index| sequences[index * sequences.len() / count].clone()).collect()
}

fn importance(
    statistics: &Statistics,
    knowledge: &Knowledge,
    whole: &Checkpoint,
) -> anyhow::Result<Importance> {
    let mut importance = Importance::new();
    for layer in 0..whole.spec.layers.len() {
        let seen = statistics.layer(layer).map_err(CompressError::from)?;
        for (site, moments) in seen.sites() {
            for &role in site.roles() {
                importance.insert(TensorId::in_layer(layer, role), moments.diagonal());
            }
        }
    }
    for matrix in knowledge.options.iter().filter(|matrix| matrix.id.layer.is_none()) {
        importance.insert(matrix.id, knowledge.vocabulary_diagonal(matrix.id.role));
    }
    Ok(importance)
}

/// Bytes of a file of this shape that belong to no matrix.
fn rest(
    bare: &Checkpoint,
    choices: &Choices,
    shapes: &Shapes,
    shape: usize,
    intent: &Intent,
) -> anyhow::Result<u64> {
    let mut levels = vec![0; choices.space.len()];
    levels[SHAPE] = shape as u16;
    let of = choices_of(choices, shapes, &choices.space.genome(levels)?);
    let matrices: u64 = of.values().map(|choice| choice.bytes).sum();
    Ok(plan_choices(bare, &of, intent)?.gguf_bytes.saturating_sub(matrices))
}

fn choices_of(choices: &Choices, shapes: &Shapes, genome: &Genome) -> BTreeMap<TensorId, Choice> {
    let shape = genome.level(SHAPE);
    let spec = &shapes.all[shape].spec;
    (0..choices.matrices.len())
        .filter_map(|matrix| choices.choice(shape, spec, matrix, genome.level(1 + matrix)))
        .collect()
}

/// The plan that keeps the shape and loses least by dynamic programming over types.
fn by_types_alone(choices: &Choices, bytes: u64, rest: u64) -> Option<Genome> {
    let chosen = cheapest(&choices.matrices, bytes.saturating_sub(rest)).ok()?;
    let levels = std::iter::once(0).chain(chosen.into_iter().map(|level| level as u16));
    choices.space.genome(levels.collect()).ok()
}

fn open_study(
    effort: &Effort,
    statistics: &Statistics,
    sequences: &[Vec<u32>],
    choices: &Choices,
) -> anyhow::Result<Study> {
    let (of_model, of_text) = (statistics.fingerprint(), sequences_fingerprint(sequences));
    let fingerprint = format!("{} {of_model} {of_text}", env!("CARGO_PKG_VERSION"));
    let path = match &effort.study {
        Some(path) => path.clone(),
        None => {
            let folder = cache::folder()?.join("studies");
            std::fs::create_dir_all(&folder)
                .map_err(|source| CompressError::Write { path: folder.clone(), source })?;
            folder.join(format!("{}-{}.jsonl", &of_model[..16], &of_text[..16]))
        }
    };
    let opened: Result<Study, StudyError> = if path.exists() {
        Study::open(&path, &fingerprint, &choices.space)
    } else {
        Study::create(&path, &fingerprint, &choices.space)
    };
    Ok(opened.map_err(SearchError::from)?)
}

/// What nothing fits means, in words.
fn in_words(error: SearchError, choices: &Choices, shapes: &Shapes) -> anyhow::Error {
    match error {
        SearchError::NothingFits { nearest, binding, limit, needed } => PlanError::NothingFits {
            binding,
            limit,
            needed,
            shape: shapes.all[nearest.level(SHAPE)].name.clone(),
            types: types_in_words(choices, shapes, &nearest),
        }
        .into(),
        other => other.into(),
    }
}

/// How many bytes each type has, the most first.
fn types_in_words(choices: &Choices, shapes: &Shapes, genome: &Genome) -> String {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for choice in choices_of(choices, shapes, genome).values() {
        *bytes.entry(choice.tensor_type.to_string()).or_default() += choice.bytes;
    }
    let total: u64 = bytes.values().sum();
    let mut shares: Vec<(u64, String)> = bytes.into_iter().map(|(name, bytes)| (bytes, name)).collect();
    shares.sort_by(|a, b| b.cmp(a));
    let share =
        |(bytes, name): &(u64, String)| format!("{name} {} %", (bytes * 100 + total / 2) / total.max(1));
    shares.iter().filter(|(bytes, _)| bytes * 100 >= total).map(share).collect::<Vec<_>>().join(", ")
}

fn record(
    outcome: &Outcome,
    plan: &Plan,
    quantities: &[String],
    choices: &Choices,
    shapes: &Shapes,
) -> SearchRecord {
    let row = |candidate: &Candidate| PlanRow {
        shape: shapes.all[candidate.genome.level(SHAPE)].name.clone(),
        types: types_in_words(choices, shapes, &candidate.genome),
        predicted: candidate.predicted,
        expected: candidate.expected,
        measured: candidate.measured.map(|measured| measured.mean),
        measured_error: candidate.measured.map(|measured| measured.error).filter(|error| error.is_finite()),
        costs: candidate.costs.to_vec(),
    };
    SearchRecord {
        schema: 1,
        source: plan.source.clone(),
        asked: plan.asked.clone(),
        quantities: quantities.to_vec(),
        chosen: row(&outcome.chosen),
        front: outcome.front.iter().map(row).collect(),
        history: outcome
            .history
            .iter()
            .map(|step| StepRow {
                evaluations: step.evaluations,
                seconds: step.seconds,
                best: step.best.mean,
                expected: step.expected,
            })
            .collect(),
        evaluations: outcome.evaluations,
        gguf_bytes: plan.gguf_bytes,
        stopped: match outcome.stopped {
            Stopped::Limit => "the limit was reached",
            Stopped::Settled => "nothing better came",
            Stopped::Interrupted => "it was interrupted",
        }
        .to_owned(),
    }
}
