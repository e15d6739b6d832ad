//! How much care rounding takes; each method is the one before and one thing more.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to round matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// Each number to the nearest that the type can store.
    #[default]
    Rtn,
    /// Scales by the errors that calibration says count.
    Weighted,
    /// Errors are made good by later columns, layer after layer on what the layers before give once rounded.
    Gptq,
    /// Targets are the parent's outputs rather than its weights; then codes, scales and minima are improved one at a time.
    Full,
}

impl Rounding {
    /// All, from the plainest.
    pub const ALL: [Self; 4] = [Self::Rtn, Self::Weighted, Self::Gptq, Self::Full];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtn => "rtn",
            Self::Weighted => "weighted",
            Self::Gptq => "gptq",
            Self::Full => "full",
        }
    }

    /// True for the methods that go through the model layer after layer.
    pub fn is_sequential(self) -> bool {
        self >= Self::Gptq
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no way to round; known are rtn, weighted, gptq and full")]
pub struct RoundingError {
    found: String,
}

impl FromStr for Rounding {
    type Err = RoundingError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| RoundingError { found: name.to_owned() })
    }
}
