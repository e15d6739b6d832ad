//! What a plan is predicted to lose and to cost, without running anything.

use std::ops::Deref;

use crate::{Genome, Space};

/// What one plan costs: a number for each budgeted quantity (bytes, memory, microseconds per token …), in the surrogate's order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    values: [f64; Costs::MOST],
    count: usize,
}

impl Costs {
    /// So many quantities at most.
    pub const MOST: usize = 10;

    /// # Panics
    /// More than [`Costs::MOST`] quantities: a surrogate is written with fewer.
    pub fn new(quantities: &[f64]) -> Self {
        let mut values = [0.0; Self::MOST];
        values[..quantities.len()].copy_from_slice(quantities);
        Self { values, count: quantities.len() }
    }
}

impl Deref for Costs {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values[..self.count]
    }
}

/// What a plan is predicted to lose and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Lower is better, such as nats per token to the parent.
    pub damage: f64,
    /// One number for each quantity; lower is better.
    pub costs: Costs,
}

/// Predicts plans. Costs are exact as far as the search is concerned: budgets are kept in them to the last unit.
pub trait Surrogate: Sync {
    /// What is worth keeping of a plan so that its neighbours are predicted in constant time, such as the sums over units.
    type State: Clone + Send + Sync;

    /// Names of the costs, in order, with their units: `file size in bytes`.
    fn quantities(&self) -> &[String];

    /// What [`Surrogate::after_move`] needs to know of a plan.
    fn state(&self, genome: &Genome) -> Self::State;

    /// The whole plan.
    fn predict(&self, genome: &Genome) -> Prediction;

    /// The plan after one unit went to another level; neither silences anything else. Agrees with [`Surrogate::predict`] of that plan.
    fn after_move(
        &self,
        space: &Space,
        genome: &Genome,
        state: &Self::State,
        unit: usize,
        level: usize,
    ) -> Prediction {
        let _ = state;
        self.predict(&space.with(genome, unit, level))
    }
}
