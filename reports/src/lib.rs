//! Results as tables: pure functions of plain records, nothing is read or measured here.

pub mod calibration;
pub mod compression;
pub mod evaluation;
mod format;
pub mod inspection;
pub mod pass_rates;
pub mod pull;
mod table;
pub mod units;

pub use format::Format;
pub use table::{Cell, Column, Table};
