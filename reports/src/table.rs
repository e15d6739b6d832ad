//! A table as data; [`crate::Format`] renders it.

use serde_json::Value;

use crate::units;

/// A table with a title.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows; an empty title is not printed.
    pub title: String,
    /// From left to right.
    pub columns: Vec<Column>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What people read.
    pub title: &'static str,
    /// What programs read: the key in JSON and the head in CSV.
    pub key: &'static str,
}

impl Column {
    /// A column.
    pub const fn new(title: &'static str, key: &'static str) -> Self {
        Self { title, key }
    }
}

/// One value, with what it needs to be shown to people and to programs.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// As it is.
    Text(String),
    /// Bytes: scaled for people, whole for programs.
    Bytes(u64),
    /// A count: scaled for people, whole for programs.
    Count(u64),
    /// A size or an index: whole for people too.
    Whole(u64),
    /// A number with so many decimals for people.
    Number(f64, usize),
    /// A part of a whole, from 0 to 1.
    Share(f64),
    /// Nothing to show.
    Empty,
}

impl Cell {
    /// As people read it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => units::bytes(*bytes),
            Self::Count(count) => units::count(*count),
            Self::Whole(number) => number.to_string(),
            Self::Number(number, decimals) => format!("{number:.decimals$}"),
            Self::Share(share) => units::percent(*share),
            Self::Empty => String::new(),
        }
    }

    /// As programs read it.
    pub fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Bytes(number) | Self::Count(number) | Self::Whole(number) => Value::from(*number),
            Self::Number(number, _) | Self::Share(number) => Value::from(*number),
            Self::Empty => Value::Null,
        }
    }

    /// Numbers stand at the right.
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Empty)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
