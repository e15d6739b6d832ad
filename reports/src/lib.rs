//! Results as tables: pure functions of plain records, nothing is read or measured here.

pub mod compression;
mod format;
pub mod inspection;
pub mod pull;
mod table;
pub mod units;

pub use format::Format;
pub use table::{Cell, Column, Table};
