//! A table as data; [`crate::Format`] renders it.

use std::borrow::Cow;

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
    pub title: Cow<'static, str>,
    /// What programs read: the key in JSON and the head in CSV.
    pub key: Cow<'static, str>,
}

impl Column {
    /// A column.
    pub const fn new(title: &'static str, key: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), key: Cow::Borrowed(key) }
    }

    /// A column whose name is known only now.
    pub fn named(title: String, key: String) -> Self {
        Self { title: title.into(), key: key.into() }
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
    /// A number that is shown in its own way, and may be the best of its column.
    Figure {
        /// For programs.
        value: f64,
        /// For people.
        shown: String,
        /// Marked for people.
        best: bool,
    },
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
            Self::Figure { shown, .. } => shown.clone(),
            Self::Empty => String::new(),
        }
    }

    /// As programs read it.
    pub fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Bytes(number) | Self::Count(number) | Self::Whole(number) => Value::from(*number),
            Self::Number(number, _) | Self::Share(number) | Self::Figure { value: number, .. } => {
                Value::from(*number)
            }
            Self::Empty => Value::Null,
        }
    }

    /// True for the best of a column.
    pub fn is_best(&self) -> bool {
        matches!(self, Self::Figure { best: true, .. })
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
