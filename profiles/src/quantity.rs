//! Numbers of a profile: each with its unit, where it comes from, and how sure that is.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a number was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Measured on the device, or fitted to such measurements.
    Measured,
    /// Follows from published facts: a memory's clock and width, other devices of the kind.
    Derived,
    /// What such devices usually have.
    Assumed,
}

/// A unit, the numbers that make sense in it, and what it is called.
pub trait Unit {
    /// As profiles write it.
    const NAME: &'static str;
    /// No real device is below.
    const LEAST: f64;
    /// No real device is above.
    const MOST: f64;
}

macro_rules! units {
    ($($name:ident $text:literal $least:literal $most:literal: $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl Unit for $name {
            const NAME: &'static str = $text;
            const LEAST: f64 = $least;
            const MOST: f64 = $most;
        }
    )*};
}

units! {
    Gigahertz "GHz" 0.1 10.0: "Clock of a core.";
    PerCycle "op/cycle" 0.05 1000.0: "Vector operations of 128 bits per cycle of a core.";
    Gibibytes "GiB" 0.05 4096.0: "Memory.";
    GigabytesPerSecond "GB/s" 0.1 10000.0: "Memory bandwidth.";
    MegabytesPerSecond "MB/s" 0.5 100000.0: "Reading from storage.";
    Watts "W" 0.1 2000.0: "Power under load.";
    NanosecondsPerWeight "ns/weight" 0.000001 1000.0: "Decoding on one core.";
    Gigaflops "GFLOP/s" 0.001 1000000.0: "Prefill on one core.";
    Microseconds "us" 0.001 100000.0: "A fixed cost.";
    Ratio "ratio" 0.001 1000.0: "One number against another.";
    Power "power" -1.0 2.0: "An exponent.";
    Mebibytes "MiB" 0.0 100000.0: "What a program needs for itself.";
    Percent "%" 0.0 1000.0: "An error, as a part of what was measured.";
}

/// A number with its unit, basis and source.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity<U> {
    /// In the unit.
    pub value: f64,
    /// How it was obtained.
    pub basis: Basis,
    /// A key of the profile's `sources`.
    pub source: String,
    unit: PhantomData<U>,
}

impl<U: Unit> Quantity<U> {
    /// A quantity, its value rounded to four digits: more would claim too much.
    pub fn new(value: f64, basis: Basis, source: &str) -> Self {
        Self { value: rounded(value), basis, source: source.to_owned(), unit: PhantomData }
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    value: f64,
    unit: String,
    basis: Basis,
    source: String,
}

impl<U: Unit> Serialize for Quantity<U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (unit, source) = (U::NAME.to_owned(), self.source.clone());
        // one line each reads best
        serde_saphyr::FlowMap(Plain { value: self.value, unit, basis: self.basis, source })
            .serialize(serializer)
    }
}

impl<'de, U: Unit> Deserialize<'de> for Quantity<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain { value, unit, basis, source } = Plain::deserialize(deserializer)?;
        if unit != U::NAME {
            return Err(serde::de::Error::custom(format!("unit is `{unit}`, expected `{}`", U::NAME)));
        }
        if !(U::LEAST..=U::MOST).contains(&value) {
            return Err(serde::de::Error::custom(format!(
                "value is {value} {unit}, expected {} to {} {unit}",
                U::LEAST,
                U::MOST
            )));
        }
        Ok(Self { value, basis, source, unit: PhantomData })
    }
}

impl<U: Unit> JsonSchema for Quantity<U> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("quantity in {}", U::NAME))
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": false,
            "required": ["value", "unit", "basis", "source"],
            "properties": {
                "value": { "type": "number", "minimum": U::LEAST, "maximum": U::MOST },
                "unit": { "const": U::NAME },
                "basis": generator.subschema_for::<Basis>(),
                "source": { "type": "string", "description": "a key of `sources`" }
            }
        })
    }
}
