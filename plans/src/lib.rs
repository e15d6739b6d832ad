//! Plans of a language model as the search knows them: what can be chosen, what it is predicted to lose and to cost, and what it loses in truth.
//!
//! [`Plans`] are all plans of one model; [`Plans::search`] finds the best of them within [`Limits`]. A [`Measurer`] measures plans on sequences of tokens,
//! which may be others than those that a search sees,
//! and [`Finalist`]s as they will be written.

mod bodies;
mod caches;
mod costs;
mod describe;
mod error;
mod finals;
mod measure;
mod moments;
mod offer;
mod passages;
mod plans;
mod predict;
mod rounded;
mod search;
mod shapes;
mod space;
#[cfg(test)]
mod tests;
mod tried_shapes;
mod vocabularies;
mod yardstick;

pub use costs::{Device, Limits};
pub use describe::Description;
pub use error::PlansError;
pub use finals::Finalist;
pub use measure::Measurer;
pub use offer::{Offer, OfferedTypes};
pub use plans::{Care, Plans, Stages, Subject};
pub use predict::Predictor;
pub use search::{Alone, Effort, Searched};
pub use yardstick::Scored;
