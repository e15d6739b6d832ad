//! Which plan to choose.
//!
//! A [`Space`] says what can be chosen, a [`Surrogate`] what a plan is predicted to lose and to cost, and an [`Evaluate`] measures what it loses in
//! truth. The crate knows plans as vectors of levels; it knows no tensors, no files of models and no devices.

mod answer;
pub mod baselines;
mod budgets;
pub mod code_models;
mod correction;
mod error;
mod evaluate;
mod evolution;
#[cfg(test)]
mod example;
mod front;
mod graph;
mod islands;
mod learn;
mod moves;
mod outcome;
mod polish;
mod probes;
mod problem;
mod race;
mod repair;
mod run;
mod search;
mod seeds;
mod selection;
mod session;
mod settings;
mod space;
mod study;
mod surrogate;

pub use answer::Answered;
pub use budgets::Budgets;
pub use correction::Correction;
pub use error::{SearchError, StudyError};
pub use evaluate::{Evaluate, Progress, Report, Silent, Task};
pub use front::undominated;
pub use graph::{Graph, Takeover};
pub use outcome::{Candidate, Exploration, Measured, Outcome, Step, Stopped};
pub use search::{Limit, Search};
pub use settings::{Preset, Settings};
pub use space::{Genome, Space, Unit};
pub use study::{Damage, Study};
pub use surrogate::{Costs, Prediction, Surrogate};
