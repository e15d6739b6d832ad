//! A plan and its neighbours, as the search sees them: predictions with what measurements have taught.

use crate::correction::Correction;
use crate::{Budgets, Genome, Prediction, Space, Surrogate};

/// What is searched: all that stays the same while plans change.
pub(crate) struct Problem<'p, S: Surrogate> {
    pub space: &'p Space,
    pub surrogate: &'p S,
    pub budgets: &'p Budgets,
    pub correction: &'p Correction,
}

impl<S: Surrogate> Clone for Problem<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Surrogate> Copy for Problem<'_, S> {}

impl<'p, S: Surrogate> Problem<'p, S> {
    /// The corrected prediction of a plan.
    pub fn predict(&self, genome: &Genome) -> Prediction {
        let mut prediction = self.surrogate.predict(genome);
        prediction.damage =
            self.correction.corrected(prediction.damage, self.correction.added(self.space, genome));
        prediction
    }

    pub fn fits(&self, prediction: &Prediction) -> bool {
        self.budgets.fit(&prediction.costs)
    }

    /// A plan ready to be changed.
    pub fn at(self, genome: Genome) -> Position<'p, S> {
        let state = self.surrogate.state(&genome);
        let added = self.correction.added(self.space, &genome);
        let prediction = self.predict(&genome);
        Position { problem: self, genome, state, added, prediction }
    }
}

/// A plan, its prediction, and what makes its neighbours cheap to predict.
pub(crate) struct Position<'p, S: Surrogate> {
    pub problem: Problem<'p, S>,
    pub genome: Genome,
    pub prediction: Prediction,
    state: S::State,
    added: f64,
}

impl<S: Surrogate> Position<'_, S> {
    /// The prediction with one unit at another level.
    pub fn after(&self, unit: usize, level: usize) -> Prediction {
        let problem = &self.problem;
        if problem.space.is_gate(unit) {
            return problem.predict(&problem.space.with(&self.genome, unit, level));
        }
        let mut prediction =
            problem.surrogate.after_move(problem.space, &self.genome, &self.state, unit, level);
        let added = self.added + problem.correction.difference(&self.genome, unit, level);
        prediction.damage = problem.correction.corrected(prediction.damage, added);
        prediction
    }

    /// Puts one unit at another level.
    pub fn go(&mut self, unit: usize, level: usize) {
        let genome = self.problem.space.with(&self.genome, unit, level);
        *self = self.problem.at(genome);
    }

    /// Whether the plan keeps every limit.
    pub fn fits(&self) -> bool {
        self.problem.fits(&self.prediction)
    }

    /// Every change of one of these units that changes the plan: unit, level.
    pub fn changes<'a>(&'a self, units: &'a [usize]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let space = self.problem.space;
        units.iter().filter(|&&unit| !space.is_silent(unit, self.genome.levels())).flat_map(move |&unit| {
            let here = self.genome.level(unit);
            (0..space.units()[unit].levels)
                .filter(move |&level| level != here)
                .map(move |level| (unit, level))
        })
    }
}
