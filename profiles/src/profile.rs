//! A profile: a device and its runtimes as reviewed data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::WeightFormat;
use crate::needs::Modality;
use crate::quantity::{
    Gibibytes, GigabytesPerSecond, Gigaflops, Gigahertz, Mebibytes, MegabytesPerSecond, Microseconds,
    NanosecondsPerWeight, PerCycle, Percent, Power, Quantity, Ratio, Watts,
};

/// The version of the format: 1.
pub const SCHEMA: u32 = 1;

/// A device and the runtimes on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The version of this format: 1.
    pub schema: u32,
    /// What `--profile` takes: lower-case letters, digits and hyphens.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where its numbers come from, by the short names that the numbers use: an address, or what was done.
    pub sources: BTreeMap<String, String>,
    /// What it is made of.
    pub hardware: Hardware,
    /// Engines and builds; the first is the usual one.
    pub runtimes: Vec<Runtime>,
}

/// What a device is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Name of the chip.
    pub chip: String,
    /// What computes.
    pub processor: Processor,
    /// Cores of one kind each, fastest first.
    pub clusters: Vec<Cluster>,
    /// Size of the memory.
    pub memory: Quantity<Gibibytes>,
    /// What an app may use of it.
    pub usable_memory: Quantity<Gibibytes>,
    /// By the memory's clock and width.
    pub specified_bandwidth: Quantity<GigabytesPerSecond>,
    /// What decoding reaches, by number of threads.
    pub bandwidth: BTreeMap<usize, Quantity<GigabytesPerSecond>>,
    /// Reading a file that is not in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity<MegabytesPerSecond>>,
    /// Free for models.
    pub free_storage: Quantity<Gibibytes>,
    /// While it generates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Quantity<Watts>>,
    /// What its sensors and apps can feed a model with.
    pub inputs: Vec<Modality>,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Processor {
    /// Processor cores; threads matter.
    Cpu,
    /// Graphics cores, all at once.
    Gpu,
    /// A neural processor.
    Npu,
}

/// Cores of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Microarchitecture.
    pub core: String,
    /// How many.
    pub count: usize,
    /// At full load.
    pub clock: Quantity<Gigahertz>,
    /// How wide it computes.
    pub vector: Quantity<PerCycle>,
    /// Instructions for products of small integers.
    pub simd: Simd,
}

/// Instructions for products of small integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names of the instruction sets
pub enum Simd {
    Scalar,
    Neon,
    Dotprod,
    I8mm,
    Avx2,
    Vnni,
    Gpu,
    Npu,
}

/// One engine in one build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Engine, and build where it matters.
    pub name: String,
    /// Threads when nobody says.
    pub threads: usize,
    /// Part of the hardware's bandwidth that it reaches.
    pub bandwidth_use: Quantity<Ratio>,
    /// Cost of a layer and token that no size explains, on one thread.
    pub fixed_per_layer: Quantity<Microseconds>,
    /// Power of the number of threads with which that cost grows: all wait for each other after every step of a layer.
    pub waiting: Quantity<Power>,
    /// Cost of a cached byte against a byte of weights.
    pub cached_byte: Quantity<Ratio>,
    /// Cost of an operation of attention against one of `f16` weights, in prefill.
    pub attention: Quantity<Ratio>,
    /// Bytes in memory for each byte of the file: 1 where it is mapped.
    pub weights_in_memory: Quantity<Ratio>,
    /// Types whose weights it copies in another order for the processor's kernels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repacks: Vec<WeightFormat>,
    /// Memory of the program itself, without its vocabulary.
    pub own_memory: Quantity<Mebibytes>,
    /// Median error of decoding speeds that the profile predicts for models it has not seen.
    pub decode_error: Quantity<Percent>,
    /// The same of prefill.
    pub prefill_error: Quantity<Percent>,
    /// Unpacking and multiplying a weight in decoding, on one core of the first cluster.
    pub decode: BTreeMap<WeightFormat, Quantity<NanosecondsPerWeight>>,
    /// Multiplications and additions in prefill, on one core of the first cluster.
    pub prefill: BTreeMap<WeightFormat, Quantity<Gigaflops>>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not YAML, or not what a profile consists of.
    #[error("profile `{file}`: {reason}")]
    Yaml {
        /// Where it stands.
        file: String,
        /// With line and column.
        reason: String,
    },
    /// Parts that do not fit together.
    #[error("profile `{file}`: {field} {problem}")]
    Inconsistent {
        /// Where it stands.
        file: String,
        /// Which part.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// No profile has this id.
    #[error("there is no profile `{found}`; the nearest are: {nearest}")]
    Unknown {
        /// What was asked for.
        found: String,
        /// What could be asked for.
        nearest: String,
    },
    /// A profile's file cannot be read.
    #[error("profile `{file}` cannot be read: {source}")]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Profile {
    /// Reads and checks a profile; `file` is for messages.
    ///
    /// # Errors
    /// With line and column if it is no profile; else which part contradicts which.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_saphyr::from_str(text)
            .map_err(|error| ProfileError::Yaml { file: file.to_owned(), reason: error.to_string() })?;
        profile.check().map_err(|(field, problem)| ProfileError::Inconsistent {
            file: file.to_owned(),
            field,
            problem,
        })?;
        Ok(profile)
    }

    /// The JSON Schema of profiles.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    fn check(&self) -> Result<(), (String, String)> {
        let problem = |field: &str, problem: String| Err((field.to_owned(), problem));
        if self.schema != SCHEMA {
            return problem("schema", format!("is {}, this program reads {SCHEMA}", self.schema));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.id.is_empty() || !self.id.chars().all(plain) {
            return problem(
                "id",
                format!("is `{}`, expected lower-case letters, digits and hyphens", self.id),
            );
        }
        let hardware = &self.hardware;
        if hardware.clusters.is_empty() || hardware.clusters.iter().any(|cluster| cluster.count == 0) {
            return problem("hardware.clusters", "needs at least one cluster with at least one core".into());
        }
        if hardware.bandwidth.is_empty() || hardware.bandwidth.contains_key(&0) {
            return problem("hardware.bandwidth", "needs numbers of threads from 1".into());
        }
        if hardware.usable_memory.value > hardware.memory.value {
            return problem("hardware.usable_memory", "is more than hardware.memory".into());
        }
        if let Some((threads, _)) = (hardware.bandwidth.iter())
            .find(|(_, bandwidth)| bandwidth.value > 1.3 * hardware.specified_bandwidth.value)
        {
            let text = format!("at {threads} threads is more than hardware.specified_bandwidth can give");
            return problem("hardware.bandwidth", text);
        }
        if self.runtimes.is_empty() {
            return problem("runtimes", "is empty".into());
        }
        for runtime in &self.runtimes {
            if runtime.decode.is_empty() || runtime.prefill.is_empty() {
                return problem(
                    &format!("runtimes.{}", runtime.name),
                    "needs decode and prefill for at least one type".into(),
                );
            }
            if runtime.threads == 0 {
                return problem(&format!("runtimes.{}.threads", runtime.name), "is 0".into());
            }
        }
        match self.used_sources().into_iter().find(|source| !self.sources.contains_key(*source)) {
            Some(source) => problem("sources", format!("has no `{source}`, which a number names")),
            None => Ok(()),
        }
    }

    fn used_sources(&self) -> Vec<&str> {
        let hardware = &self.hardware;
        let mut used: Vec<&str> = vec![
            &hardware.memory.source,
            &hardware.usable_memory.source,
            &hardware.specified_bandwidth.source,
            &hardware.free_storage.source,
        ];
        used.extend(
            hardware.clusters.iter().flat_map(|c| [c.clock.source.as_str(), c.vector.source.as_str()]),
        );
        used.extend(hardware.bandwidth.values().map(|quantity| quantity.source.as_str()));
        used.extend(hardware.storage.iter().map(|quantity| quantity.source.as_str()));
        used.extend(hardware.power.iter().map(|quantity| quantity.source.as_str()));
        for runtime in &self.runtimes {
            used.extend([
                runtime.bandwidth_use.source.as_str(),
                &runtime.fixed_per_layer.source,
                &runtime.waiting.source,
                &runtime.cached_byte.source,
                &runtime.attention.source,
                &runtime.weights_in_memory.source,
                &runtime.own_memory.source,
                &runtime.decode_error.source,
                &runtime.prefill_error.source,
            ]);
            used.extend(runtime.decode.values().map(|quantity| quantity.source.as_str()));
            used.extend(runtime.prefill.values().map(|quantity| quantity.source.as_str()));
        }
        used
    }

    /// The runtime with this name, in any case, or whose name begins so; the first if none is named.
    pub fn runtime(&self, name: Option<&str>) -> Option<&Runtime> {
        let Some(name) = name else { return self.runtimes.first() };
        let exact = self.runtimes.iter().find(|runtime| runtime.name.eq_ignore_ascii_case(name));
        let begins = |runtime: &&Runtime| runtime.name.to_lowercase().starts_with(&name.to_lowercase());
        exact.or_else(|| self.runtimes.iter().find(begins))
    }
}
