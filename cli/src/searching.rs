//! A search from the command line: its limits, devices and effort, and what it found as a record.

use std::path::PathBuf;

use secateur_compress::CompressError;
use secateur_compress::statistics::{self, Text};
use secateur_model::Rounding;
use secateur_plans::{Alone, Care, Device, Effort, Limits, Offer, Plans, Searched, Stages, Subject};
use secateur_profiles::ByteSize;
use secateur_reports::search::{AloneRow, PlanRow, SearchRecord, StepRow};
use secateur_search::{Candidate, Stopped, Surrogate as _};

use crate::arguments::{EffortArguments, StageArgument};
use crate::cache;
use crate::commands::whatif::{USUAL_PROMPT, check_power, load_profiles, runtime_of};
use crate::console::{Bar, SearchProgress};
use crate::space_file::read_space;

/// A search that has nothing to decide.
#[derive(Debug, thiserror::Error)]
#[error("a search always chooses types: add `quantize` to `--stages`")]
pub struct NothingChosen;

/// What a search is for, and how hard it tries.
pub struct Target {
    shape: Option<Care>,
    /// Texts whose tokens stay, if others may go.
    texts: Vec<Text>,
    offer: Offer,
    limits: Limits,
    devices: Vec<Device>,
    effort: Effort,
}

/// What a search found.
pub struct Found {
    pub searched: Searched,
    pub record: SearchRecord,
}

/// What a plan is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AskedOfPlan<'a> {
    pub profiles: &'a [String],
    pub max_size: Option<ByteSize>,
    pub max_memory: Option<ByteSize>,
    pub min_decode: Option<f64>,
    pub min_prefill: Option<f64>,
    pub max_energy: Option<f64>,
    pub context: usize,
    /// How what is found is rounded.
    pub rounding: Rounding,
}

impl Target {
    /// What the options mean.
    pub fn new(
        asked: &AskedOfPlan,
        arguments: &EffortArguments,
        texts: &[PathBuf],
        seed: u64,
    ) -> anyhow::Result<Self> {
        if !arguments.may_cut(StageArgument::Quantize) {
            return Err(NothingChosen.into());
        }
        let offer = match &arguments.space {
            Some(path) => read_space(path, arguments, texts)?,
            None => Offer::default(),
        };
        // the text in the program is nobody's: what it does not need may be needed
        let texts = if arguments.may_cut(StageArgument::Vocabulary) && !texts.is_empty() {
            statistics::texts_or_built_in(texts).map_err(CompressError::from)?
        } else {
            Vec::new()
        };
        let bytes = |size: Option<ByteSize>| size.map(|ByteSize(bytes)| bytes);
        let limits = Limits {
            size: bytes(asked.max_size),
            memory: bytes(asked.max_memory),
            decode: asked.min_decode,
            prefill: asked.min_prefill,
            energy: asked.max_energy,
        };
        let prompt = USUAL_PROMPT.min(asked.context);
        let profiles = load_profiles(asked.profiles)?;
        check_power(&profiles, asked.max_energy)?;
        let devices = profiles
            .iter()
            .map(|profile| Ok(Device::new(profile, runtime_of(profile, None)?, asked.context, prompt)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let effort = Effort {
            preset: arguments.search.preset(),
            limit: arguments.limit(),
            seed,
            study: arguments.study.clone(),
            rivals: arguments.search.rivals(),
        };
        Ok(Self {
            shape: arguments.may_cut(StageArgument::Shape).then(|| arguments.search.care()),
            texts,
            offer,
            limits,
            devices,
            effort,
        })
    }

    /// What it may cut beside the types of matrices.
    pub fn stages(&self) -> Stages<'_> {
        Stages { shape: self.shape, vocabulary: &self.texts, offer: &self.offer }
    }

    /// All plans of a model.
    pub fn plans<'a>(&self, subject: Subject<'a>, progress: &Bar) -> anyhow::Result<Plans<'a>> {
        Ok(Plans::new(subject, &self.devices, &cache::folder()?, progress)?)
    }

    /// Finds the best of them.
    pub fn search(&self, plans: &Plans, progress: &Bar) -> anyhow::Result<Found> {
        let searching = SearchProgress::new(progress, self.effort.limit);
        let searched = plans.search(&self.limits, &self.effort, &searching)?;
        if let Some(damage) = searched.damaged {
            progress.note(&format!(
                "{} lines of the study were damaged, the first is line {}; the others are used",
                damage.lines, damage.first_line
            ));
        }
        Ok(Found { record: record(plans, &searched), searched })
    }
}

fn record(plans: &Plans, searched: &Searched) -> SearchRecord {
    let Searched { chosen, outcome, alone, .. } = searched;
    let step = |step: &secateur_search::Step| StepRow {
        evaluations: step.evaluations,
        seconds: step.seconds,
        best: step.best.mean,
        expected: step.expected,
    };
    SearchRecord {
        schema: 1,
        source: plans.subject().whole.name(),
        asked: plans.subject().intent.asked.clone(),
        quantities: plans.predictor().quantities().to_vec(),
        chosen: row(plans, chosen),
        finalists: Vec::new(),
        alone: alone.iter().map(|alone| alone_row(plans, alone)).collect(),
        front: outcome.front.iter().map(|candidate| row(plans, candidate)).collect(),
        history: outcome.history.iter().map(step).collect(),
        passages: plans.sequences().len(),
        evaluations: outcome.evaluations,
        // predicted to the byte
        gguf_bytes: chosen.costs[0] as u64,
        stopped: match outcome.stopped {
            Stopped::Limit => "the limit was reached",
            Stopped::Settled => "nothing better came",
            Stopped::Interrupted => "it was interrupted",
            Stopped::Answered => "predictions and the study answered, nothing was measured anew",
        }
        .to_owned(),
    }
}

fn alone_row(plans: &Plans, alone: &Alone) -> AloneRow {
    AloneRow {
        profile: alone.device.clone(),
        chosen: row(plans, &alone.chosen),
        front: alone.front.iter().map(|candidate| row(plans, candidate)).collect(),
    }
}

/// A plan as a record tells it.
pub fn row(plans: &Plans, candidate: &Candidate) -> PlanRow {
    let described = plans.describe(&candidate.genome);
    PlanRow {
        shape: described.body,
        types: described.types,
        predicted: candidate.predicted,
        expected: candidate.expected,
        measured: candidate.measured.map(|measured| measured.mean),
        measured_error: candidate.measured.map(|measured| measured.error).filter(|error| error.is_finite()),
        passages: candidate.measured.map_or(0, |measured| measured.chunks),
        costs: candidate.costs.to_vec(),
    }
}
