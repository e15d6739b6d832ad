//! What the search is compared with, on the same space, budgets, evaluator and number of evaluations.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::correction::Correction;
use crate::evaluate::{Evaluate, Silent};
use crate::islands::random_within;
use crate::problem::Problem;
use crate::race::{Race, race};
use crate::session::Session;
use crate::{Genome, Measured, Search, SearchError, Study, Surrogate};

/// A search without what makes ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Random plans, brought within budgets at the least predicted loss.
    Random,
    /// The best predicted plan of a price on every cost, measured once.
    Seed,
    /// (1+λ): children of the best plan by random exchanges, a unit changed and others until the budgets are kept again ("EvoPress").
    OnePlusLambda,
}

/// The best plan and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The best plan on all chunks.
    pub plan: Genome,
    /// Its damage.
    pub measured: Measured,
    /// Evaluations so far and the mean damage of the best plan, after each race.
    pub history: Vec<(f64, f64)>,
}

impl Baseline {
    /// Searches until the limit of `search`; nothing when the limit does not allow a single evaluation. As many plans are raced at once, on the
    /// same chunks, as in the search itself.
    ///
    /// # Errors
    /// Nothing fits the budgets, or plans cannot be measured.
    pub fn run<S: Surrogate, E: Evaluate>(
        self,
        search: &Search<'_, S>,
        evaluator: &E,
    ) -> Result<Option<Compared>, SearchError> {
        let mut study = Study::in_memory();
        let mut session = Session::new(evaluator, &Silent, &mut study, search.limit);
        let mut generator = SmallRng::seed_from_u64(search.settings.seed);
        let correction = Correction::default();
        let problem = search.problem(&correction);
        let seeds = search.seeds(problem)?;
        let mut champion: Option<Genome> = None;
        let mut history = Vec::new();
        for _ in 0..search.limit.map_or(search.settings.patience, |_| usize::MAX) {
            let plans: Vec<Genome> = match (self, &champion) {
                (Self::Seed, None) => seeds.first().cloned().into_iter().collect(),
                (Self::Seed, Some(_)) => break,
                (Self::OnePlusLambda, Some(parent)) => {
                    let child = || exchanged(problem, parent, &mut generator);
                    std::iter::repeat_with(child).take(search.settings.contenders).collect()
                }
                _ => std::iter::repeat_with(|| random_within(problem, &mut generator))
                    .take(search.settings.contenders)
                    .collect(),
            };
            let plans = plans.into_iter().filter(|plan| problem.fits(&problem.predict(plan))).collect();
            match race(&mut session, champion.as_ref(), plans, &search.settings.rungs)? {
                Race::Won(winner) => {
                    let mean = session.measured(&winner).map_or(f64::INFINITY, |measured| measured.mean);
                    history.push((session.evaluations(), mean));
                    champion = Some(winner);
                }
                Race::Limit | Race::Interrupted => break,
            }
        }
        Ok(champion.and_then(|plan| {
            let measured = session.measured(&plan)?;
            Some(Compared { plan, measured, history })
        }))
    }
}

/// Random changes that are tried to bring a child back within budgets.
const ATTEMPTS: usize = 1000;

/// One to three units at random levels, then random changes that lessen the excess; predictions of damage are not looked at.
fn exchanged<S: Surrogate>(problem: Problem<'_, S>, parent: &Genome, generator: &mut SmallRng) -> Genome {
    let mut child = problem.at(parent.clone());
    let draw = |generator: &mut SmallRng| {
        let unit = generator.gen_range(0..problem.space.len());
        (unit, generator.gen_range(0..problem.space.units()[unit].levels))
    };
    for _ in 0..generator.gen_range(1..=3).min(generator.gen_range(1..=3)) {
        let (unit, level) = draw(generator);
        child.go(unit, level);
    }
    for _ in 0..ATTEMPTS {
        let excess = problem.budgets.excess(&child.prediction.costs);
        if excess == 0.0 {
            break;
        }
        let (unit, level) = draw(generator);
        if problem.budgets.excess(&child.after(unit, level).costs) < excess {
            child.go(unit, level);
        }
    }
    child.genome
}
