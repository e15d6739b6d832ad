//! Limits that a user sets, and whether a plan or an artifact keeps them.

use serde::{Deserialize, Serialize};

use crate::Estimate;

/// A number of bytes as people write it: `80MB`, `1.5 GiB`, `98362432`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Why a text is not a number of bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{found}` is no size; write a number and B, kB, MB, GB, KiB, MiB or GiB, for example 80MB")]
pub struct ByteSizeError {
    found: String,
}

impl std::str::FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ByteSizeError { found: text.to_owned() };
        let digits =
            text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let number: f64 = text[..digits].parse().map_err(|_| error())?;
        let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "kib" => 1024.0,
            "mib" => 1024.0 * 1024.0,
            "gib" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(error()),
        };
        let bytes = number * unit;
        if bytes < 1.0 || bytes > u64::MAX as f64 {
            return Err(error());
        }
        Ok(Self(bytes as u64))
    }
}

/// Limits; what is not set is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Largest size of model.gguf.
    pub max_size: Option<ByteSize>,
    /// Most memory at the peak.
    pub max_memory: Option<ByteSize>,
    /// Fewest decoded tokens per second.
    pub min_decode: Option<f64>,
    /// Fewest prompt tokens per second.
    pub min_prefill: Option<f64>,
    /// Longest time to the first token, in seconds.
    pub max_ttft: Option<f64>,
    /// Most joules for a decoded token.
    pub max_energy: Option<f64>,
}

/// One limit and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The limit's name, as its flag.
    pub limit: &'static str,
    /// In the limit's unit.
    pub allowed: f64,
    /// In the limit's unit.
    pub found: f64,
}

impl Verdict {
    /// True if the limit is kept. Limits are named `max-…` or `min-…`.
    pub fn is_kept(&self) -> bool {
        if self.limit.starts_with("min") { self.found >= self.allowed } else { self.found <= self.allowed }
    }
}

impl Budget {
    /// Judges a file of this size.
    pub fn judge(&self, gguf_bytes: u64) -> Vec<Verdict> {
        let verdict = |ByteSize(allowed): ByteSize| Verdict {
            limit: "max-size",
            allowed: allowed as f64,
            found: gguf_bytes as f64,
        };
        self.max_size.map(verdict).into_iter().collect()
    }

    /// Judges what a model would cost.
    pub fn judge_estimate(&self, estimate: &Estimate) -> Vec<Verdict> {
        let mut verdicts = self.judge(estimate.file_bytes);
        let memory = self.max_memory.map(|ByteSize(bytes)| bytes as f64);
        let limits = [
            ("max-memory", memory, estimate.memory.total()),
            ("min-decode", self.min_decode, estimate.decode),
            ("min-prefill", self.min_prefill, estimate.prefill),
            ("max-ttft", self.max_ttft, estimate.first_token),
            // of what is not known, nothing keeps a limit
            ("max-energy", self.max_energy, estimate.energy.unwrap_or(f64::INFINITY)),
        ];
        verdicts.extend(
            limits.into_iter().filter_map(|(limit, allowed, found)| {
                allowed.map(|allowed| Verdict { limit, allowed, found })
            }),
        );
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in
            [("80MB", 80_000_000), ("1.5GiB", 1_610_612_736), ("64 kib", 65_536), ("98362432", 98_362_432)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MB", "80 XB", "-5MB", "0", "1e400GB", "8.8.8MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_may_be_reached_but_not_passed() {
        let budget = Budget { max_size: Some(ByteSize(100)), ..Budget::default() };
        assert!(budget.judge(100).iter().all(Verdict::is_kept));
        assert!(!budget.judge(101).iter().all(Verdict::is_kept));
        assert!(Budget::default().judge(u64::MAX).is_empty());
    }
}
