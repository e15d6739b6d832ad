//! Which type each matrix gets, so that the file has at most so many bytes and the model loses least.
//!
//! [`options`] tells what each matrix would lose in each type that is legal for it, [`cheapest`] chooses under the budget.

mod damage;
mod error;
mod knapsack;
mod options;

pub use damage::{options, vocabulary_second};
pub use error::AllocationError;
pub use knapsack::cheapest;
pub use options::{CANDIDATES, Choice, MatrixOptions};
