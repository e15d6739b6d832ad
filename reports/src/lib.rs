//! Results as tables: pure functions of plain records, nothing is read or measured here.

pub mod calibration;
pub mod compression;
mod format;
pub mod inspection;
mod table;
pub mod units;

pub use format::Format;
pub use table::{Cell, Column, Table};
