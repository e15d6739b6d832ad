//! Which plan to choose.
//!
//! A [`Space`] says what can be chosen, a [`Surrogate`] what a plan is predicted to lose and to cost, and an `Evaluate` measures what it loses in
//! truth. The crate knows plans as vectors of levels; it knows no tensors, no files of models and no devices.

mod budgets;
mod correction;
mod error;
#[cfg(test)]
mod example;
mod polish;
mod problem;
mod repair;
mod space;
mod surrogate;

pub use budgets::Budgets;
pub use correction::Correction;
pub use error::{SearchError, StudyError};
pub use space::{Genome, Space, Unit};
pub use surrogate::{Costs, Prediction, Surrogate};
