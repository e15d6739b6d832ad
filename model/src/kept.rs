//! Which of many numbered things stay, as a plan writes it down.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Ascending indices, written as ranges: `0-255,300,302-310`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(Vec<u32>);

impl Kept {
    /// These indices, which are ascending.
    pub fn new(indices: &[u32]) -> Self {
        Self(indices.to_vec())
    }

    /// The indices.
    pub fn indices(&self) -> &[u32] {
        &self.0
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for run in self.0.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            if !text.is_empty() {
                text.push(',');
            }
            // writing to a string cannot fail
            let _ = match run {
                [only] => write!(text, "{only}"),
                _ => write!(text, "{}-{}", run[0], run[run.len() - 1]),
            };
        }
        serializer.serialize_str(&text)
    }
}

/// A text that names no ascending numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// Not a number, and not two.
    #[error("`{0}` is no number and no range like 3-7")]
    NoRange(String),
    /// Numbers ascend, each once.
    #[error("`{0}` does not ascend")]
    Order(String),
}

impl FromStr for Kept {
    type Err = KeptError;

    fn from_str(text: &str) -> Result<Self, KeptError> {
        let mut indices: Vec<u32> = Vec::new();
        for run in text.split(',').filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let number = |text: &str| text.parse::<u32>().map_err(|_| KeptError::NoRange(run.to_owned()));
            let (first, last) = (number(first)?, number(last)?);
            if first > last || indices.last().is_some_and(|&before| before >= first) {
                return Err(KeptError::Order(run.to_owned()));
            }
            indices.extend(first..=last);
        }
        Ok(Self(indices))
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        for (indices, text) in [
            (vec![], ""),
            (vec![7], "7"),
            (vec![0, 1, 2, 5, 7, 8], "0-2,5,7-8"),
            (vec![u32::MAX], "4294967295"),
        ] {
            let kept = Kept::new(&indices);
            let json = serde_json::to_string(&kept).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Kept>(&json).unwrap(), kept);
        }
    }

    #[test]
    fn what_does_not_ascend_is_refused() {
        for text in ["3-1", "5,5", "1-4,2", "x", "1-"] {
            assert!(serde_json::from_str::<Kept>(&format!("\"{text}\"")).is_err(), "{text}");
        }
    }
}
