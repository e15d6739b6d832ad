//! From the plans of a model to the best one within limits.

use std::path::{Path, PathBuf};

use secateur_compress::CompressError;
use secateur_compress::allocation::MatrixOptions;
use secateur_compress::statistics::sequences_fingerprint;
use secateur_search::{
    Budgets, Candidate, Damage, Genome, Limit, Measured, Outcome, Preset, Progress, Search, SearchError,
    Stopped, Study, StudyError, Surrogate as _, undominated,
};

use crate::costs::{Device, Limits};
use crate::error::PlansError;
use crate::measure::Measurer;
use crate::plans::Plans;
use crate::predict::Predictor;
use crate::shapes::Shape;
use crate::space::CACHE;
use crate::yardstick::Scored;

/// How plans are measured; another way is another study.
const MEASURED: &str = "feedback-three-quarters-readers-as-given";

/// How long to search.
#[derive(Debug, Clone)]
pub struct Effort {
    /// How hard to try between measurements.
    pub preset: Preset,
    /// When to stop; no evaluations are an answer from the study alone.
    pub limit: Limit,
    /// The same seed finds the same plan.
    pub seed: u64,
    /// Where measurements are kept; in the cache if it is not said.
    pub study: Option<PathBuf>,
    /// How many plans beside the best may come out of it, to be held against it as they will be written.
    pub rivals: usize,
}

/// What was found.
pub struct Searched {
    /// The plan to take if none is rounded to see.
    pub chosen: Candidate,
    /// Plans that may turn out better once they are written.
    pub rivals: Vec<Candidate>,
    /// All that the search found.
    pub outcome: Outcome,
    /// Of several devices, what each could have by itself.
    pub alone: Vec<Alone>,
    /// Lines of the study that were damaged and left out.
    pub damaged: Option<Damage>,
}

/// What the study knows of one of several devices, as if there were no other.
pub struct Alone {
    /// The device's name.
    pub device: String,
    /// The best plan within its limits.
    pub chosen: Candidate,
    /// Plans of which no other is better in expected damage, bytes and every cost there; least damage first.
    pub front: Vec<Candidate>,
}

impl Plans<'_> {
    /// Finds the best plan within limits. Measurements are kept in the study, or in the folder `studies` of the cache, and found there again.
    ///
    /// # Errors
    /// If nothing is within the limits, plans cannot be measured, the study cannot be used, or the user interrupts.
    pub fn search(
        &self,
        limits: &Limits,
        effort: &Effort,
        progress: &dyn Progress,
    ) -> Result<Searched, PlansError> {
        let budgets = self.budgets(limits)?;
        let by_types = limits
            .size
            .and_then(|bytes| self.by_types_alone(bytes))
            .and_then(|plan| self.with_each_cache(&plan).find(|plan| self.is_within(plan, &budgets)));
        let by_types_in_bodies = limits.size.map_or_else(Vec::new, |bytes| self.by_types(bytes));
        let starts: Vec<Genome> =
            by_types_in_bodies.iter().flat_map(|plan| self.with_each_cache(plan)).collect();
        let search = self.begin(&starts, budgets.clone(), effort)?.limited(effort.limit);
        let measures = effort.limit != Limit::Evaluations(0);
        let mut study = self.open_study(effort.study.as_deref(), measures)?;
        let outcome = if measures {
            self.measured(&search, by_types, &mut study, progress)?
        } else {
            let answered = search.answer(&study).map_err(|error| self.in_words(error))?;
            let chunks: usize = study.all().iter().map(|(_, values)| values.len()).sum();
            answered.outcome(chunks as f64 / self.sequences().len().max(1) as f64)
        };
        let alone = match self.devices.len() {
            0 | 1 => Vec::new(),
            several => (0..several)
                .map(|device| self.alone(device, limits, &starts, effort, &study))
                .collect::<Result<_, _>>()?,
        };
        let (chosen, rivals) = self.finalists(&outcome.chosen, &study, &budgets, limits.size, effort.rivals);
        Ok(Searched { chosen, rivals, damaged: study.damaged(), alone, outcome })
    }

    /// What the study says of one device; measures nothing.
    fn alone(
        &self,
        device: usize,
        limits: &Limits,
        starts: &[Genome],
        effort: &Effort,
        study: &Study,
    ) -> Result<Alone, PlansError> {
        let budgets = self.budgets_on(limits, |other| other == device)?;
        let search = self.begin(starts, budgets, effort)?;
        let answered = search.answer(study).map_err(|error| self.in_words(error))?;
        let outcome = answered.outcome(0.0);
        let own = 1 + device * Device::COSTS..1 + (device + 1) * Device::COSTS;
        let points: Vec<Vec<f64>> = outcome
            .front
            .iter()
            .map(|plan| [&[plan.expected, plan.costs[0]], &plan.costs[own.clone()]].concat())
            .collect();
        let front = undominated(&points).into_iter().map(|index| outcome.front[index].clone()).collect();
        Ok(Alone { device: self.devices[device].name.clone(), chosen: outcome.chosen, front })
    }

    /// A plan with every way to keep keys and values, the usual one first.
    fn with_each_cache(&self, plan: &Genome) -> impl Iterator<Item = Genome> {
        (0..self.caches.len()).map(move |level| self.space().with(plan, CACHE, level))
    }

    fn is_within(&self, plan: &Genome, budgets: &Budgets) -> bool {
        budgets.fit(&self.predictor().predict(plan).costs)
    }

    /// A search that begins with those of some plans that are within the budgets.
    fn begin(
        &self,
        starts: &[Genome],
        budgets: Budgets,
        effort: &Effort,
    ) -> Result<Search<'_, Predictor>, PlansError> {
        let mut starts = starts.to_vec();
        starts.retain(|plan| self.is_within(plan, &budgets));
        let settings = effort.preset.settings(effort.seed);
        Ok(Search::new(self.space(), self.predictor(), budgets, settings)?.starting_from(starts)?)
    }

    /// What a search finds that measures; the plan by types alone where nothing is surely better.
    fn measured(
        &self,
        search: &Search<'_, Predictor>,
        by_types: Option<Genome>,
        study: &mut Study,
        progress: &dyn Progress,
    ) -> Result<Outcome, PlansError> {
        let measurer = Measurer::new(self, self.sequences(), Scored::ThreeQuarters)?;
        let mut outcome = search.run(&measurer, study, progress).map_err(|error| self.in_words(error))?;
        if outcome.stopped == Stopped::Interrupted {
            return Err(CompressError::Interrupted.into());
        }
        if let Some(plain) = by_types
            && !is_better(study.values(&outcome.chosen.genome), study.values(&plain))
        {
            outcome.chosen = self.candidate(plain, study);
        }
        Ok(outcome)
    }

    /// The study at a path, or in the cache. One that is not there is begun if it is to be written to.
    fn open_study(&self, path: Option<&Path>, measures: bool) -> Result<Study, PlansError> {
        let of_model = self.subject.statistics.fingerprint();
        let of_text = sequences_fingerprint(self.sequences());
        let of_space = self.space_fingerprint();
        let version = env!("CARGO_PKG_VERSION");
        let fingerprint = format!("{version} {MEASURED} {of_model} {of_text} {of_space}");
        let path = if let Some(path) = path {
            path.to_owned()
        } else {
            let folder = self.shapes.cache.join("studies");
            std::fs::create_dir_all(&folder)
                .map_err(|source| CompressError::Write { path: folder.clone(), source })?;
            // all of the fingerprint: what another version measured is not in the way
            let [model, text, space] = [&of_model[..16], &of_text[..16], &of_space[..8]];
            folder.join(format!("{model}-{text}-{space}-{version}-{MEASURED}.jsonl"))
        };
        let opened: Result<Study, StudyError> = if path.exists() {
            Study::open(&path, &fingerprint, self.space())
        } else if !measures {
            Ok(Study::in_memory())
        } else {
            Study::create(&path, &fingerprint, self.space())
        };
        Ok(opened.map_err(SearchError::from)?)
    }

    /// Of all that levels of units stand for: shapes, tokens of vocabularies, caches, types of matrices.
    fn space_fingerprint(&self) -> String {
        let types = |matrix: &MatrixOptions| -> Vec<u32> {
            matrix.choices.iter().map(|choice| choice.tensor_type.ggml_id()).collect()
        };
        let shape =
            |shape: &Shape| -> Vec<u32> { format!("{:?}", shape.plan).bytes().map(u32::from).collect() };
        let mut all = self.vocabularies.kept();
        all.extend(self.shapes.all.iter().map(shape));
        all.push(self.caches.iter().map(|cache| cache.cache_type().tensor_type().ggml_id()).collect());
        all.extend(self.choices.matrices.iter().map(types));
        sequences_fingerprint(&all)
    }

    /// What nothing fits means, in the words of the model.
    fn in_words(&self, error: SearchError) -> PlansError {
        match error {
            SearchError::NothingFits { nearest, binding, limit, needed } => {
                let described = self.describe(&nearest);
                let (body, types) = (described.body, described.types);
                PlansError::NothingFits { binding, limit, needed, body, types }
            }
            other => other.into(),
        }
    }
}

/// Whether a plan that was found is to be preferred to the one that types alone give, by what both lose on the same chunks: the best of many
/// measurements is lucky, so it has to be better by more than two standard errors. One that the other was not measured as far as has outrun it.
fn is_better(found: &[f64], by_types: &[f64]) -> bool {
    if by_types.len() < found.len() {
        return true;
    }
    let differences: Vec<f64> = by_types.iter().zip(found).map(|(plain, found)| plain - found).collect();
    Measured::of(&differences).is_some_and(|gain| gain.mean > 2.0 * gain.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_does_not_win_over_the_plan_by_types() {
        let by_types = [0.10, 0.20, 0.15, 0.12];
        assert!(is_better(&[0.08, 0.17, 0.13, 0.10], &by_types), "better everywhere");
        assert!(!is_better(&[0.11, 0.10, 0.16, 0.12], &by_types), "better on one chunk");
        assert!(!is_better(&by_types, &by_types), "the same plan");
        assert!(is_better(&[0.08, 0.17, 0.13, 0.10], &by_types[..1]), "the other was dropped early");
    }
}
