//! The search for the best plan: set up here, explored with predictions alone, or run with measurements.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rayon::prelude::*;

use crate::correction::Correction;
use crate::front::undominated;
use crate::islands::{Islands, random_within};
use crate::polish::polish;
use crate::problem::Problem;
use crate::seeds::seeds;
use crate::selection::{Aim, objectives, select};
use crate::{
    Budgets, Candidate, Exploration, Genome, Prediction, SearchError, Settings, Space, Surrogate, Takeover,
};

/// When to stop measuring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// After this long; what the study answers counts with the time that it took.
    Time(std::time::Duration),
    /// After so many evaluations. One evaluation is one plan on all chunks; a plan that is dropped after a quarter of them counts a quarter.
    Evaluations(usize),
}

/// A search: what can be chosen, what is predicted, what is allowed, and how hard to try.
pub struct Search<'s, S: Surrogate> {
    pub(crate) space: &'s Space,
    pub(crate) surrogate: &'s S,
    pub(crate) budgets: Budgets,
    pub(crate) settings: Settings,
    pub(crate) limit: Option<Limit>,
    starts: Vec<Genome>,
}

/// Random plans that are tried before it is said that nothing fits.
const TRIES: usize = 32;

impl<'s, S: Surrogate> Search<'s, S> {
    /// # Errors
    /// Settings below what works, or budgets for other quantities than the surrogate's.
    pub fn new(
        space: &'s Space,
        surrogate: &'s S,
        budgets: Budgets,
        settings: Settings,
    ) -> Result<Self, SearchError> {
        settings.check()?;
        let (expected, found) = (surrogate.quantities().len(), budgets.limits().len());
        if expected != found {
            return Err(SearchError::Limits { expected, found });
        }
        Ok(Self { space, surrogate, budgets, settings, limit: None, starts: Vec::new() })
    }

    /// Plans to begin with, besides those that the search finds for itself.
    ///
    /// # Errors
    /// A plan of another space.
    pub fn starting_from(mut self, plans: Vec<Genome>) -> Result<Self, SearchError> {
        for plan in plans {
            self.starts.push(self.space.genome(plan.levels().to_vec())?);
        }
        Ok(self)
    }

    /// When to stop measuring; without a limit, once the search has settled.
    #[must_use]
    pub fn limited(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The best predicted plan and the predicted front, without any measurement.
    ///
    /// # Errors
    /// [`SearchError::NothingFits`] when no plan was found within the budgets.
    pub fn explore(&self) -> Result<Exploration, SearchError> {
        self.explore_with(&Correction::default())
    }

    /// With what was learned from measurements.
    pub(crate) fn explore_with(&self, correction: &Correction) -> Result<Exploration, SearchError> {
        let problem = self.problem(correction);
        let seeds = self.seeds(problem)?;
        let mut islands = Islands::settle(problem, &self.settings, &seeds);
        let mut least = f64::INFINITY;
        let mut stale = 0;
        while stale < self.settings.epochs {
            islands.advance(problem);
            let found = islands.fitting(problem).first().map_or(f64::INFINITY, |(_, best)| best.damage);
            stale = if found < least { 0 } else { stale + 1 };
            least = least.min(found);
        }
        let fitting = self.polished_front(problem, &islands.fitting(problem));
        let points: Vec<Vec<f64>> = fitting.iter().map(|(_, prediction)| objectives(prediction)).collect();
        let front: Vec<Candidate> = undominated(&points)
            .into_iter()
            .map(|index| self.candidate(&fitting[index].0, correction))
            .collect();
        Ok(Exploration {
            best: self.candidate(&fitting[0].0, correction),
            seed: self.candidate(least_damage(problem, &seeds), correction),
            front,
            takeover: self.takeover(),
        })
    }

    /// These plans and what exchanges make of those on their front at no more than their own costs; least damage first.
    fn polished_front(
        &self,
        problem: Problem<'_, S>,
        plans: &[(Genome, Prediction)],
    ) -> Vec<(Genome, Prediction)> {
        let all: Vec<usize> = (0..self.space.len()).collect();
        let points: Vec<Vec<f64>> = plans.iter().map(|(_, prediction)| objectives(prediction)).collect();
        let front = undominated(&points);
        let effort = self.settings.effort / front.len().max(1);
        let better = front.into_par_iter().map(|index| {
            let (genome, prediction) = &plans[index];
            let own = Budgets::at(&prediction.costs);
            let mut position = Problem { budgets: &own, ..problem }.at(genome.clone());
            polish(&mut position, &all, 0, effort);
            (position.genome, position.prediction)
        });
        let mut together: Vec<(Genome, Prediction)> = better.collect();
        together.extend_from_slice(plans);
        select(problem, Aim::Answer, together, usize::MAX)
    }

    pub(crate) fn problem<'p>(&'p self, correction: &'p Correction) -> Problem<'p, S> {
        Problem { space: self.space, surrogate: self.surrogate, budgets: &self.budgets, correction }
    }

    pub(crate) fn takeover(&self) -> Takeover {
        Takeover::of(self.settings.graph, self.settings.islands, self.settings.seed)
    }

    /// Plans within budgets to begin with: the given ones, then those along prices, then random ones if there are no others.
    pub(crate) fn seeds(&self, problem: Problem<'_, S>) -> Result<Vec<Genome>, SearchError> {
        let start = self.space.canonical(vec![0; self.space.len()]);
        let mut found: Vec<Genome> =
            self.starts.iter().filter(|plan| problem.fits(&problem.predict(plan))).cloned().collect();
        found.extend(seeds(problem, &start));
        if !found.is_empty() {
            return Ok(found);
        }
        let mut generator = SmallRng::seed_from_u64(self.settings.seed);
        let tried: Vec<Genome> = (0..TRIES).map(|_| random_within(problem, &mut generator)).collect();
        let worst_share = |plan: &Genome| {
            self.budgets.binding(&problem.predict(plan).costs).map_or(f64::INFINITY, |(_, share)| share)
        };
        let (fitting, beyond): (Vec<Genome>, Vec<Genome>) =
            tried.into_iter().partition(|plan| problem.fits(&problem.predict(plan)));
        let nearest = beyond.into_iter().min_by(|a, b| worst_share(a).total_cmp(&worst_share(b)));
        match nearest {
            Some(nearest) if fitting.is_empty() => Err(self.nothing_fits(nearest)),
            _ => Ok(fitting),
        }
    }

    fn nothing_fits(&self, nearest: Genome) -> SearchError {
        let costs = self.surrogate.predict(&nearest).costs;
        let (worst, _) = self.budgets.binding(&costs).unwrap_or_default();
        let binding = self.surrogate.quantities().get(worst).cloned().unwrap_or_default();
        SearchError::NothingFits {
            nearest,
            binding,
            limit: self.budgets.limits()[worst],
            needed: costs[worst],
        }
    }

    /// A plan with what is predicted of it.
    pub(crate) fn candidate(&self, genome: &Genome, correction: &Correction) -> Candidate {
        let prediction = self.surrogate.predict(genome);
        let expected = self.problem(correction).predict(genome).damage;
        let (predicted, costs) = (prediction.damage, prediction.costs);
        Candidate { genome: genome.clone(), predicted, expected, costs, measured: None }
    }
}

/// The plan with the least predicted damage.
fn least_damage<'g, S: Surrogate>(problem: Problem<'_, S>, plans: &'g [Genome]) -> &'g Genome {
    let damage = |plan: &&Genome| problem.predict(plan).damage;
    plans.iter().min_by(|a, b| damage(a).total_cmp(&damage(b))).unwrap_or(&plans[0])
}
