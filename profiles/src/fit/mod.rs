//! From measurements to constants, and how far off predictions are.

mod constants;
mod device;
mod least_squares;
mod platform;
mod priors;
mod score;

pub use constants::{Constants, RuntimeConstants, Shared, bandwidth};
pub use device::{Experience, Prediction, Row};
pub use platform::{Kind, Platform, engine_class, runtime_name};
pub use priors::Priors;
pub use score::{Error, Experiment, Score, Summary, score, summarise};
