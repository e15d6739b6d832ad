//! Which type each matrix gets, so that the file has at most so many bytes and the model loses least.
//!
//! [`Knowledge`] tells what each matrix would lose in each type that is legal for it, [`allocate`] chooses under the budget.

mod choose;
mod damage;
mod error;
mod joined;
mod knapsack;
mod knowledge;
mod options;
mod solving;

pub use choose::allocate;
pub use error::AllocationError;
pub use knapsack::cheapest;
pub use knowledge::Knowledge;
pub use options::{Choice, MatrixOptions, bytes_in_file, bytes_of_joined, candidates};
pub use solving::left_by_solving;
