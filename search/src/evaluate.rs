//! The border to whoever measures plans in truth, and to whoever watches.

use std::ops::Range;
use std::time::Duration;

use crate::{Genome, Measured};

/// A plan to measure on some chunks of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The plan.
    pub plan: Genome,
    /// Which chunks; a plan's later chunks are asked for after its earlier ones.
    pub chunks: Range<usize>,
}

/// Measures plans. A plan's damage on a chunk depends on nothing but the two and the inputs that the study's fingerprint stands for, so that
/// an answer can be kept, asked for again, or come from another machine.
pub trait Evaluate: Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Chunks that the text has, at least 1.
    fn chunks(&self) -> usize;

    /// Measures tasks in any order, on any thread, and calls `done` with a task's index and one finite number per chunk as soon as it is
    /// measured: what was done is kept. Returns early, without what is missing, once `interrupted` says so.
    ///
    /// # Errors
    /// What keeps plans from being measured at all.
    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Self::Error>;
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Rounds of measurement so far.
    pub round: usize,
    /// Damage of the best plan so far.
    pub best: Option<Measured>,
    /// What had been expected of it.
    pub expected: f64,
    /// Plans on the predicted front.
    pub front: usize,
    /// Evaluations so far.
    pub evaluations: f64,
    /// Time that is left at the pace so far, when there is a limit.
    pub remaining: Option<Duration>,
}

/// Watches a search.
pub trait Progress: Sync {
    /// After each round.
    fn report(&self, report: &Report);

    /// True once the user asked to stop.
    fn is_interrupted(&self) -> bool;
}

/// Tells nobody and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _report: &Report) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}
