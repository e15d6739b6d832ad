//! Plans of a language model as the search knows them: what can be chosen, what it is predicted to lose and to cost, and what it loses in truth.

mod costs;
mod measure;
mod predict;
mod run;
mod shapes;
mod space;

pub use costs::{Device, Limits};
pub use run::{Effort, PlanError, search};
