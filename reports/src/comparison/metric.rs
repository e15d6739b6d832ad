//! What models are compared by.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::units;

/// A column of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Bytes of the file.
    Size,
    /// Bits of the file for each parameter.
    BitsPerWeight,
    /// Numbers in all tensors.
    Parameters,
    /// Tokens in the vocabulary.
    Vocabulary,
    /// Mean divergence from the parent, in nats per token.
    Divergence,
    /// 99 of 100 tokens diverge no more, in nats.
    Divergence99,
    /// Share of positions where parent and child hold the same token for the likeliest.
    SameTop,
    /// `exp` of the mean loss of a token.
    Perplexity,
    /// Bits of loss over the bytes of the text.
    BitsPerByte,
    /// What it costs on the device of a profile.
    Cost(Cost, String),
}

/// What a model costs on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Decoded tokens per second.
    Decode,
    /// Prompt tokens per second.
    Prefill,
    /// Bytes at the peak.
    Memory,
    /// Seconds to the first token.
    FirstToken,
}

/// Why a text names no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no column; there are size, bpw, params, vocab, kld, kld99, same_top, ppl, bits_per_byte, and decode, prefill, memory and \
     ttft with a profile, for example decode@raspberry-pi-5-8gb"
)]
pub struct MetricError {
    found: String,
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let unknown = || MetricError { found: text.to_owned() };
        if let Some((cost, profile)) = text.split_once('@') {
            let cost = match cost {
                "decode" => Cost::Decode,
                "prefill" => Cost::Prefill,
                "memory" => Cost::Memory,
                "ttft" => Cost::FirstToken,
                _ => return Err(unknown()),
            };
            return if profile.is_empty() {
                Err(unknown())
            } else {
                Ok(Self::Cost(cost, profile.to_owned()))
            };
        }
        PLAIN.iter().find(|(name, _)| *name == text).map(|(_, metric)| metric.clone()).ok_or_else(unknown)
    }
}

const PLAIN: [(&str, Metric); 9] = [
    ("size", Metric::Size),
    ("bpw", Metric::BitsPerWeight),
    ("params", Metric::Parameters),
    ("vocab", Metric::Vocabulary),
    ("kld", Metric::Divergence),
    ("kld99", Metric::Divergence99),
    ("same_top", Metric::SameTop),
    ("ppl", Metric::Perplexity),
    ("bits_per_byte", Metric::BitsPerByte),
];

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cost(cost, profile) => {
                let cost = match cost {
                    Cost::Decode => "decode",
                    Cost::Prefill => "prefill",
                    Cost::Memory => "memory",
                    Cost::FirstToken => "ttft",
                };
                write!(formatter, "{cost}@{profile}")
            }
            plain => {
                let named = PLAIN.iter().find(|(_, metric)| metric == plain);
                formatter.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        "Metric".into()
    }

    /// A word, as it is typed.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Which values are the better ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
    /// A description, no merit.
    Neither,
}

impl Metric {
    pub(super) fn better(&self) -> Better {
        match self {
            Self::BitsPerWeight | Self::Parameters | Self::Vocabulary => Better::Neither,
            Self::SameTop | Self::Cost(Cost::Decode | Cost::Prefill, _) => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// True for what was found by taking a text through the model.
    pub fn is_quality(&self) -> bool {
        matches!(
            self,
            Self::Divergence | Self::Divergence99 | Self::SameTop | Self::Perplexity | Self::BitsPerByte
        )
    }

    /// A value as people read it.
    pub(super) fn shown(&self, value: f64) -> String {
        match self {
            Self::Size | Self::Cost(Cost::Memory, _) => units::bytes(value as u64),
            Self::Parameters => units::count(value as u64),
            Self::Vocabulary => format!("{value:.0}"),
            Self::BitsPerWeight => format!("{value:.2}"),
            Self::Cost(Cost::FirstToken, _) => units::seconds(value),
            Self::Cost(..) => format!("{value:.1}"),
            Self::SameTop => units::percent(value),
            quality => format!("{value:.0$}", quality.decimals()),
        }
    }

    /// A standard error as people read it, without the value's unit.
    pub(super) fn shown_error(&self, error: f64) -> String {
        match self {
            Self::SameTop => format!("{:.1}", error * 100.0),
            other => format!("{error:.0$}", other.decimals()),
        }
    }

    fn decimals(&self) -> usize {
        match self {
            Self::Divergence | Self::BitsPerByte => 4,
            Self::Divergence99 => 3,
            _ => 2,
        }
    }

    /// The difference to a baseline as people read it: of what a text has measured, in its unit; of sizes and speeds, as a part.
    pub(super) fn shown_difference(&self, value: f64, baseline: f64) -> String {
        let difference = value - baseline;
        match self {
            Self::SameTop => format!("{:+.1}", difference * 100.0),
            quality if quality.is_quality() => format!("{difference:+.0$}", quality.decimals()),
            _ => format!("{:+.1} %", difference / baseline * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_read_as_it_is_written() {
        let costs = ["decode@pi", "prefill@pi", "memory@pi", "ttft@pi"];
        for name in PLAIN.iter().map(|(name, _)| *name).chain(costs) {
            assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
        }
        for wrong in ["speed", "decode", "decode@", "kld@pi", ""] {
            assert!(wrong.parse::<Metric>().is_err(), "{wrong}");
        }
    }
}
