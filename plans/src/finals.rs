//! The last round: plans that the search leaves, to be rounded in full and held against each other as they will be written.

use std::collections::BTreeMap;

use secateur_compress::CompressError;
use secateur_compress::progress::Progress;
use secateur_model::Checkpoint;
use secateur_model::plan::Plan;
use secateur_search::{Budgets, Candidate, Genome, Measured, Prediction, Study, Surrogate as _};

use crate::measure::Measurer;
use crate::plans::{Damages, Plans};
use crate::space::CACHE;

/// A plan that may be carried out.
pub struct Finalist {
    /// What is known of it.
    pub candidate: Candidate,
    /// What is to be done.
    pub plan: Plan,
    /// The model in the plan's shape, with the plan's vocabulary.
    pub model: Checkpoint,
    /// The same before its shape was cut.
    pub parent: Checkpoint,
}

impl Plans<'_> {
    /// The plan to take unheard, and at most so many that may be better once they are written.
    ///
    /// Plans are measured with each matrix rounded by itself, and written with later projections solved for what earlier ones lose. So the first is
    /// the body of the plan that the search found best, with the types that lose least as they will be written, where limits allow them. Its rivals
    /// are the uncut model with such types, the plan that was found itself, and the other bodies that were measured best.
    pub(crate) fn finalists(
        &self,
        found: &Candidate,
        study: &Study,
        budgets: &Budgets,
        bytes: Option<u64>,
        most_rivals: usize,
    ) -> (Candidate, Vec<Candidate>) {
        // keys and values stay as they were found
        let types_in = |body: usize, damages: Damages| {
            let plan = bytes.and_then(|bytes| self.by_types_in(&self.bodies.all[body], bytes, damages))?;
            Some(self.space().with(&plan, CACHE, found.genome.level(CACHE)))
        };
        let as_written = |body: usize| {
            let plan = types_in(body, Damages::Written)?;
            let fits = budgets.fit(&self.predictor().predict(&plan).costs);
            fits.then(|| if plan == found.genome { found.clone() } else { self.candidate(plan, study) })
        };
        let own_body = self.bodies.number_of(&found.genome);
        let Some(first) = as_written(own_body) else { return (found.clone(), Vec::new()) };
        // where nothing but types was better than in others, they are chosen better for what is written
        let by_types = types_in(own_body, Damages::Measured);
        let itself = (by_types.as_ref() != Some(&found.genome)).then(|| found.clone());
        let others = self.best_bodies(study).into_iter().filter_map(as_written);
        let mut rivals: Vec<Candidate> = Vec::new();
        // lazily: each is a search of its own
        let uncut = std::iter::once_with(|| as_written(0)).flatten();
        let mut all = uncut.chain(itself).chain(others);
        while rivals.len() < most_rivals
            && let Some(rival) = all.next()
        {
            let is_new = [&first].into_iter().chain(&rivals).all(|known| known.genome != rival.genome);
            if is_new {
                rivals.push(rival);
            }
        }
        (first, rivals)
    }

    /// Bodies by the best of their plans that were measured on all sequences, the best first.
    fn best_bodies(&self, study: &Study) -> Vec<usize> {
        let mut best: BTreeMap<usize, f64> = BTreeMap::new();
        for (plan, values) in study.all() {
            let measured = Measured::of(values).filter(|measured| measured.chunks == self.sequences().len());
            if let Some(measured) = measured {
                let least = best.entry(self.bodies.number_of(plan)).or_insert(f64::INFINITY);
                *least = least.min(measured.mean);
            }
        }
        let mut bodies: Vec<(usize, f64)> = best.into_iter().collect();
        bodies.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        bodies.into_iter().map(|(body, _)| body).collect()
    }

    pub(crate) fn candidate(&self, genome: Genome, study: &Study) -> Candidate {
        let Prediction { damage, costs } = self.predictor().predict(&genome);
        let measured = Measured::of(study.values(&genome));
        Candidate { genome, predicted: damage, expected: damage, costs, measured }
    }

    /// What it takes to carry out a plan.
    ///
    /// # Errors
    /// As [`model`](Self::model) and [`plan`](Self::plan).
    pub fn finalist(&self, candidate: Candidate) -> Result<Finalist, CompressError> {
        let genome = &candidate.genome;
        let (plan, model, parent) = (self.plan(genome)?, self.model(genome)?, self.parent(genome)?);
        Ok(Finalist { candidate, plan, model, parent })
    }
}

impl Measurer<'_, '_> {
    /// What a finalist loses whose matrices are rounded, as `rounded` has them: on each sequence, in nats per token of the whole vocabulary.
    ///
    /// # Errors
    /// If its matrices cannot be read, or the user interrupts.
    pub fn measure_rounded(
        &self,
        finalist: &Finalist,
        rounded: &Checkpoint,
        progress: &dyn Progress,
    ) -> Result<Vec<f64>, CompressError> {
        self.divergences(&finalist.candidate.genome, rounded, 0..self.sequences(), progress)
    }
}
