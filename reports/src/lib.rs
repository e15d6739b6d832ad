//! Results as tables: pure functions of plain records, nothing is read or measured here.

pub mod calibration;
pub mod chart;
pub mod checks;
pub mod comparison;
pub mod compression;
pub mod devices;
pub mod evaluation;
pub mod fit;
mod format;
pub mod inspection;
pub mod pass_rates;
pub mod pull;
pub mod report;
pub mod schemas;
pub mod search;
mod table;
pub mod units;
pub mod whatif;

pub use format::{Format, document};
pub use table::{Cell, Column, Table};
