//! What a search answers.

use crate::{Correction, Costs, Genome, Takeover};

/// A mean over chunks of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean damage.
    pub mean: f64,
    /// Standard error of the mean; infinite for a single chunk.
    pub error: f64,
    /// Chunks it was measured on.
    pub chunks: usize,
}

impl Measured {
    /// Of one value per chunk; nothing for none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let chunks = values.len();
        if chunks == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / chunks as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error =
            if chunks == 1 { f64::INFINITY } else { (squares / (chunks * (chunks - 1)) as f64).sqrt() };
        Some(Self { mean, error, chunks })
    }
}

/// A plan and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The plan.
    pub genome: Genome,
    /// Damage that the surrogate predicts.
    pub predicted: f64,
    /// The same, corrected by what was measured.
    pub expected: f64,
    /// What the plan costs.
    pub costs: Costs,
    /// Damage in truth, where it was measured.
    pub measured: Option<Measured>,
}

/// What predictions alone answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exploration {
    /// The plan with the least predicted damage within budgets.
    pub best: Candidate,
    /// The best of the plans that the search began with.
    pub seed: Candidate,
    /// Plans within budgets of which no other is better in damage and every cost; least damage first.
    pub front: Vec<Candidate>,
    /// How fast good plans spread between islands.
    pub takeover: Takeover,
}

/// The best plan after a round of measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Evaluations so far (a plan on all chunks is one).
    pub evaluations: f64,
    /// Seconds that the answers so far took, whoever asked first.
    pub seconds: f64,
    /// Damage of the best plan.
    pub best: Measured,
    /// What had been expected of it, corrections included.
    pub expected: f64,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The limit was reached.
    Limit,
    /// Rounds went by without a better plan.
    Settled,
    /// Someone asked to stop; the study goes on from here.
    Interrupted,
    /// Nothing was to be measured: what the study held is the answer.
    Answered,
}

/// What a search with measurements answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The plan with the least measured damage on all chunks; when nothing was measured, the best predicted.
    pub chosen: Candidate,
    /// Plans within budgets of which no other is better in expected damage and every cost; least damage first.
    pub front: Vec<Candidate>,
    /// The best plan after each round.
    pub history: Vec<Step>,
    /// What measurements taught about predictions.
    pub corrections: Correction,
    /// How fast good plans spread between islands.
    pub takeover: Takeover,
    /// Evaluations that were asked for, answered by the study or measured.
    pub evaluations: f64,
    /// Why it ended.
    pub stopped: Stopped,
}
