//! From measurements to constants, and how far off predictions are.

mod constants;
mod describe;
mod device;
mod emit;
mod least_squares;
mod platform;
mod priors;
pub mod report;
mod score;
pub mod typical;

pub use constants::{Constants, RuntimeConstants, Shared, bandwidth};
pub use describe::descriptions;
pub use device::{Experience, Prediction, Row};
pub use emit::{Description, ExpectedError, profile};
pub use platform::{Kind, Platform, engine_class, runtime_name};
pub use priors::Priors;
pub use score::{Error, Experiment, Score, Summary, error_of, score, summarise};
