//! Fitted constants as a profile that people can review.

use std::collections::BTreeMap;

use super::constants::{Constants, RuntimeConstants, bandwidth};
use super::device::Experience;
use super::platform::{Kind, Platform, engine_class};
use crate::chip::{Chip, Instructions};
use crate::needs::Modality;
use crate::profile::{Cluster, Hardware, Processor, Profile, Runtime, SCHEMA, Simd};
use crate::quantity::{Basis, Quantity};
use crate::{FORMATS, WeightFormat};

/// A device to be described, and what is known of it beside its measured speeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Id of the profile.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its name in the table of measurements.
    pub device: String,
    /// Its chip.
    pub chip: Chip,
    /// `CPU`, `GPU` or `NPU`.
    pub backend: String,
    /// Memory in GiB.
    pub memory: f64,
    /// What an app may use of it, in GiB.
    pub usable_memory: f64,
    /// MB/s.
    pub storage: Option<f64>,
    /// GiB that models may take of it.
    pub free_storage: f64,
    /// Watts under load.
    pub power: Option<f64>,
    /// What it can feed a model with.
    pub inputs: Vec<Modality>,
    /// Where the specification stands.
    pub source: String,
    /// Where its speeds were published.
    pub measured_in: Vec<String>,
}

/// Expected error of a profile, in percent; `None` where nothing was scored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExpectedError {
    /// Of decoding.
    pub decode: Option<f64>,
    /// Of prefill.
    pub prefill: Option<f64>,
    /// Of decoding from the specification alone.
    pub unseen_decode: f64,
    /// Of prefill from the specification alone.
    pub unseen_prefill: f64,
}

/// Runtimes with fewer rows than this are not worth a table of their own.
const WORTH_A_TABLE: usize = 8;

/// Writes a profile from what was learned.
///
/// Returns `None` if the chip has no processor of that kind.
pub fn profile(about: &Description, experience: &Experience, error: ExpectedError) -> Option<Profile> {
    let platform = Platform::new(&about.chip, &about.device, &about.backend, "")?;
    let (constants, is_fitted) = experience.constants(&about.device, &about.chip.name, &platform);
    let mut names = vec!["llama.cpp".to_owned()];
    let mut others: Vec<_> =
        constants.runtimes.iter().filter(|(_, own)| own.rows() >= WORTH_A_TABLE).collect();
    others.sort_by_key(|(_, own)| std::cmp::Reverse(own.rows()));
    names.extend(
        others
            .into_iter()
            .map(|(name, _)| name.clone())
            .filter(|name| name != "llama.cpp" && !name.contains("small cores") && !name.contains("limited")),
    );
    // the usual runtime stands for its class
    let usual = constants.runtimes.iter().filter(|(name, _)| engine_class(name) == "llama.cpp");
    let usual = usual.max_by_key(|(_, own)| own.rows()).map(|(name, _)| name.clone());
    names.retain(|name| Some(name) != usual.as_ref() || name == "llama.cpp");
    let runtimes = names
        .iter()
        .map(|name| {
            let own = constants.runtime(&experience.priors, &platform, name);
            runtime(name, &platform, &constants, &own, is_fitted, error)
        })
        .collect();
    let mut sources = BTreeMap::from([("specification".to_owned(), about.source.clone())]);
    let text =
        "other devices of the kind: the means that `fit-profiles` learns from profiles/data/measurements.tsv";
    sources.insert("kind".into(), text.into());
    sources.insert("table".into(), "profiles/data/devices.tsv: what such devices usually have".into());
    sources.insert("runtime".into(), "docs/profiles.md, section Memory".into());
    if is_fitted {
        sources.insert("fit".into(), format!("fitted by `fit-profiles` to {}", about.measured_in.join(" ")));
    }
    Some(Profile {
        schema: SCHEMA,
        id: about.id.clone(),
        name: about.name.clone(),
        sources,
        hardware: hardware(about, &platform, &constants, is_fitted),
        runtimes,
    })
}

fn hardware(about: &Description, platform: &Platform, constants: &Constants, is_fitted: bool) -> Hardware {
    let (basis, source) = if is_fitted { (Basis::Measured, "fit") } else { (Basis::Derived, "kind") };
    let specified = if about.chip.bandwidth_is_derived { Basis::Derived } else { Basis::Assumed };
    let at = |threads: usize| {
        let reached = bandwidth(platform, &constants.shared, threads) / 1e9;
        (threads, Quantity::new(reached, basis, source))
    };
    let clusters = if platform.is_processor() {
        about
            .chip
            .clusters
            .iter()
            .map(|core| Cluster {
                core: core.core.clone(),
                count: core.count,
                clock: Quantity::new(core.clock, specified, "specification"),
                vector: Quantity::new(core.lanes, Basis::Derived, "specification"),
                simd: simd(core.instructions),
            })
            .collect()
    } else {
        vec![Cluster {
            core: if platform.kind == Kind::Neural { "npu".into() } else { "gpu".into() },
            count: platform.cores(),
            clock: Quantity::new(1.0, Basis::Assumed, "kind"),
            vector: Quantity::new(platform.rate, Basis::Derived, "kind"),
            simd: simd(platform.instructions),
        }]
    };
    let storage = about.storage.map(|speed| Quantity::new(speed, Basis::Assumed, "table"));
    let power = about.power.map(|watts| Quantity::new(watts, Basis::Assumed, "table"));
    Hardware {
        chip: about.chip.name.clone(),
        processor: match platform.kind {
            Kind::AppleGraphics | Kind::OtherGraphics => Processor::Gpu,
            Kind::Neural => Processor::Npu,
            _ => Processor::Cpu,
        },
        clusters,
        memory: Quantity::new(about.memory, Basis::Derived, "specification"),
        usable_memory: Quantity::new(about.usable_memory, Basis::Assumed, "table"),
        specified_bandwidth: Quantity::new(about.chip.bandwidth, specified, "specification"),
        bandwidth: thread_counts(platform).into_iter().map(at).collect(),
        storage,
        free_storage: Quantity::new(about.free_storage, Basis::Assumed, "table"),
        power,
        inputs: about.inputs.clone(),
    }
}

/// 1, 2, 3, 4, 6, 8, 12, 16 … and all cores; graphics have one entry.
fn thread_counts(platform: &Platform) -> Vec<usize> {
    if !platform.is_processor() {
        return vec![1];
    }
    let cores = platform.cores();
    let mut counts: Vec<usize> =
        [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64].into_iter().filter(|n| *n < cores).collect();
    counts.push(cores);
    counts
}

/// MiB of stock llama.cpp beside weights, cache, buffers and vocabulary, as `check-memory` measures it on x86-64.
const OWN_MEMORY: f64 = 16.0;

/// Types that today's llama.cpp copies in another order (`repack.cpp`) where the processor multiplies bytes by a few instructions.
fn repacks(runtime: &str, platform: &Platform) -> Vec<WeightFormat> {
    let multiplies_bytes = matches!(
        platform.instructions,
        Instructions::DotProduct | Instructions::MatrixProduct | Instructions::Avx2 | Instructions::Vnni
    );
    if platform.is_processor() && multiplies_bytes && engine_class(runtime) == "llama.cpp" {
        vec![WeightFormat::Q4_K, WeightFormat::Q4_0, WeightFormat::IQ4_NL]
    } else {
        Vec::new()
    }
}

fn simd(instructions: Instructions) -> Simd {
    match instructions {
        Instructions::Scalar => Simd::Scalar,
        Instructions::Neon => Simd::Neon,
        Instructions::DotProduct => Simd::Dotprod,
        Instructions::MatrixProduct => Simd::I8mm,
        Instructions::Avx2 => Simd::Avx2,
        Instructions::Vnni => Simd::Vnni,
        Instructions::Gpu => Simd::Gpu,
        Instructions::Npu => Simd::Npu,
    }
}

fn runtime(
    name: &str,
    platform: &Platform,
    constants: &Constants,
    own: &RuntimeConstants,
    is_fitted: bool,
    error: ExpectedError,
) -> Runtime {
    let (basis, source) = if is_fitted { (Basis::Measured, "fit") } else { (Basis::Derived, "kind") };
    let by_rows = |rows: usize| if rows > 0 { (Basis::Measured, "fit") } else { (Basis::Derived, "kind") };
    let decode = (0..FORMATS).map(|at| {
        let (basis, source) = by_rows(own.decode_rows[at]);
        let nanoseconds = own.decode[at].exp() / platform.rate;
        (WeightFormat::ALL[at], Quantity::new(nanoseconds, basis, source))
    });
    let prefill = (0..FORMATS).map(|at| {
        let (basis, source) = by_rows(own.prefill_rows[at]);
        (WeightFormat::ALL[at], Quantity::new(platform.rate / own.prefill[at].exp(), basis, source))
    });
    let decode_error = error.decode.filter(|_| is_fitted).unwrap_or(error.unseen_decode);
    let prefill_error = error.prefill.filter(|_| is_fitted).unwrap_or(error.unseen_prefill);
    Runtime {
        name: name.to_owned(),
        threads: if platform.is_processor() { platform.threads } else { platform.cores() },
        bandwidth_use: Quantity::new(own.bandwidth_use.exp(), basis, source),
        fixed_per_layer: Quantity::new(constants.shared.fixed_per_layer.exp() * 1e6, basis, source),
        waiting: Quantity::new(constants.shared.waiting.clamp(-1.0, 2.0), basis, source),
        cached_byte: Quantity::new(constants.shared.cached_byte.exp(), basis, source),
        attention: Quantity::new(constants.shared.attention.exp(), basis, source),
        weights_in_memory: Quantity::new(1.0, Basis::Assumed, "runtime"),
        repacks: repacks(name, platform),
        own_memory: Quantity::new(OWN_MEMORY, Basis::Derived, "runtime"),
        decode_error: Quantity::new(decode_error, basis, source),
        prefill_error: Quantity::new(prefill_error, basis, source),
        decode: decode.collect(),
        prefill: prefill.collect(),
    }
}
