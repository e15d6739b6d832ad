//! One run against a study: what it asked for, what the study answered, and when to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::evaluate::{Evaluate, Progress, Task};
use crate::{Genome, Limit, Measured, SearchError, Study, StudyError};

/// Measures plans, through the study, within a limit.
///
/// Every decision is taken on what was asked and on the times that the study holds, never on the clock or on whether an answer was new. So a run that
/// finds its answers in the study decides as the run did that measured them.
pub(crate) struct Session<'s, E: Evaluate> {
    evaluator: &'s E,
    progress: &'s dyn Progress,
    study: &'s mut Study,
    limit: Option<Limit>,
    /// Chunks asked for, by plan.
    asked: HashMap<Genome, usize>,
    chunks_asked: usize,
    /// How long the answers that were asked for took, whoever asked first.
    seconds: f64,
    /// When the last answer came, or measuring began.
    live: Option<Instant>,
}

/// Whether all that was asked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Whole,
    Interrupted,
}

impl<'s, E: Evaluate> Session<'s, E> {
    pub fn new(
        evaluator: &'s E,
        progress: &'s dyn Progress,
        study: &'s mut Study,
        limit: Option<Limit>,
    ) -> Self {
        // the time that a new study spends before its first measurement counts
        let live = (study.plans() == 0).then(Instant::now);
        Self { evaluator, progress, study, limit, asked: HashMap::new(), chunks_asked: 0, seconds: 0.0, live }
    }

    /// Chunks of the text.
    pub fn chunks(&self) -> usize {
        self.evaluator.chunks().max(1)
    }

    /// Has each plan measured on its first `upto` chunks.
    pub fn measure(&mut self, plans: &[&Genome], upto: usize) -> Result<Answer, SearchError> {
        let missing: Vec<Task> = plans
            .iter()
            .map(|&plan| Task { plan: plan.clone(), chunks: self.study.values(plan).len()..upto })
            .filter(|task| !task.chunks.is_empty())
            .collect();
        if !missing.is_empty() && self.evaluate(&missing)? == Answer::Interrupted {
            return Ok(Answer::Interrupted);
        }
        for &plan in plans {
            let before = self.asked.insert(plan.clone(), upto.max(self.asked_of(plan))).unwrap_or(0);
            self.chunks_asked += upto.saturating_sub(before);
            self.seconds += self.study.seconds_of(plan, before..upto);
        }
        Ok(if self.progress.is_interrupted() { Answer::Interrupted } else { Answer::Whole })
    }

    /// Has tasks measured that the study has no answer to; keeps each answer as it comes.
    fn evaluate(&mut self, tasks: &[Task]) -> Result<Answer, SearchError> {
        let before = self.live.get_or_insert_with(Instant::now);
        let progress = self.progress;
        let keeper = Mutex::new(Keeper { study: &mut *self.study, before, failure: None });
        let done = |index: usize, values: &[f64]| {
            keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(&tasks[index], values);
        };
        let result = self.evaluator.evaluate(tasks, &done, &|| progress.is_interrupted());
        let keeper = keeper.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = keeper.failure {
            return Err(failure);
        }
        result.map_err(|error| SearchError::Evaluation(Box::new(error)))?;
        let missing = tasks.iter().find(|task| self.study.values(&task.plan).len() < task.chunks.end);
        match missing {
            None => Ok(Answer::Whole),
            Some(_) if self.progress.is_interrupted() => Ok(Answer::Interrupted),
            Some(task) => Err(unusable(task, &[])),
        }
    }

    /// Values of a plan on its first `upto` chunks.
    pub fn values(&self, plan: &Genome, upto: usize) -> &[f64] {
        let values = self.study.values(plan);
        &values[..upto.min(values.len())]
    }

    /// Chunks of a plan that this run has asked for.
    pub fn asked_of(&self, plan: &Genome) -> usize {
        self.asked.get(plan).copied().unwrap_or(0)
    }

    /// What this run knows of a plan.
    pub fn measured(&self, plan: &Genome) -> Option<Measured> {
        Measured::of(self.values(plan, self.asked_of(plan)))
    }

    /// Every plan that this run has asked about with its values as far as it asked, in a fixed order.
    pub fn all(&self) -> Vec<(&Genome, &[f64])> {
        let mut all: Vec<(&Genome, &[f64])> =
            self.asked.iter().map(|(plan, &upto)| (plan, self.values(plan, upto))).collect();
        all.sort_unstable_by_key(|(plan, _)| *plan);
        all
    }

    /// Chunks that may still be measured; nothing left is the end.
    pub fn chunks_left(&self) -> usize {
        match self.limit {
            Some(Limit::Evaluations(most)) => {
                most.saturating_mul(self.chunks()).saturating_sub(self.chunks_asked)
            }
            Some(Limit::Time(most)) if self.seconds >= most.as_secs_f64() => 0,
            Some(Limit::Time(_)) | None => usize::MAX,
        }
    }

    /// Evaluations asked for: plans on all chunks, shares of them added up.
    pub fn evaluations(&self) -> f64 {
        self.chunks_asked as f64 / self.chunks() as f64
    }

    /// How long the answers that were asked for took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How long it will take until the limit, at the pace so far.
    pub fn remaining(&self) -> Option<Duration> {
        let seconds = match self.limit? {
            Limit::Time(most) => most.as_secs_f64() - self.seconds,
            Limit::Evaluations(most) if self.chunks_asked > 0 => {
                self.seconds * (most as f64 / self.evaluations() - 1.0)
            }
            Limit::Evaluations(_) => return None,
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    }
}

/// Takes answers from any thread.
struct Keeper<'s> {
    study: &'s mut Study,
    /// When the answer before came.
    before: &'s mut Instant,
    failure: Option<SearchError>,
}

impl Keeper<'_> {
    fn keep(&mut self, task: &Task, values: &[f64]) {
        if self.failure.is_some() {
            return;
        }
        if values.len() != task.chunks.len() || values.iter().any(|value| !value.is_finite()) {
            self.failure = Some(unusable(task, values));
            return;
        }
        let now = Instant::now();
        let took = now.duration_since(*self.before).as_secs_f64();
        *self.before = now;
        let kept: Result<(), StudyError> = self.study.record(&task.plan, task.chunks.start, values, took);
        self.failure = kept.err().map(SearchError::Study);
    }
}

fn unusable(task: &Task, found: &[f64]) -> SearchError {
    let (from, to) = (task.chunks.start, task.chunks.end);
    SearchError::Measurement { plan: task.plan.clone(), from, to, found: found.to_vec() }
}
