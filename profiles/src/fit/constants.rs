//! The constants of a device and its runtimes, and the machine that they make. All are logarithms: they multiply.

use std::collections::BTreeMap;

use super::platform::{Kind, Platform, engine_class};
use super::priors::Priors;
use crate::cost::{Machine, waiting};
use crate::{FORMATS, WeightFormat};

/// Constants that all runtimes of a device share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shared {
    /// ln of the part of the specified bandwidth that decoding reaches at best.
    pub bandwidth: f64,
    /// ln of the part of that which one thread reaches.
    pub single_thread: f64,
    /// How much of it all threads together lose by disturbing each other.
    pub contention: f64,
    /// ln of seconds per layer and token on one thread.
    pub fixed_per_layer: f64,
    /// ln of the cost of a cached byte against a byte of weights.
    pub cached_byte: f64,
    /// ln of the cost of an attention operation against one of `f16` weights.
    pub attention: f64,
    /// Power of the number of threads with which the fixed cost grows: all wait for each other after every step.
    pub waiting: f64,
}

impl Shared {
    /// Their number.
    pub const COUNT: usize = 7;

    /// As a list, in the order of the fields.
    pub fn to_array(self) -> [f64; Self::COUNT] {
        let Self { bandwidth, single_thread, contention, fixed_per_layer, cached_byte, attention, waiting } =
            self;
        [bandwidth, single_thread, contention, fixed_per_layer, cached_byte, attention, waiting]
    }

    /// From a list of at least [`COUNT`](Self::COUNT) numbers.
    pub fn from_slice(x: &[f64]) -> Self {
        Self {
            bandwidth: x[0],
            single_thread: x[1],
            contention: x[2],
            fixed_per_layer: x[3],
            cached_byte: x[4],
            attention: x[5],
            waiting: x[6],
        }
    }
}

/// Constants of one runtime build on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeConstants {
    /// ln of the part of the device's bandwidth that it reaches.
    pub bandwidth_use: f64,
    /// ln of vector operations (billions per second cancel) per weight in decoding, by format.
    pub decode: [f64; FORMATS],
    /// ln of vector operations per multiplication and addition in prefill, by format.
    pub prefill: [f64; FORMATS],
    /// Rows that measured each format in decoding.
    pub decode_rows: [usize; FORMATS],
    /// Rows that measured each format in prefill.
    pub prefill_rows: [usize; FORMATS],
}

impl RuntimeConstants {
    /// All rows that measured it.
    pub fn rows(&self) -> usize {
        self.decode_rows.iter().chain(&self.prefill_rows).sum()
    }
}

/// Everything about a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// What its runtimes share.
    pub shared: Shared,
    /// By the runtime's name.
    pub runtimes: BTreeMap<String, RuntimeConstants>,
}

impl Constants {
    /// What the specification alone lets expect.
    pub fn expected(priors: &Priors, platform: &Platform) -> Self {
        Self { shared: priors.shared(platform.kind), runtimes: BTreeMap::new() }
    }

    /// The constants of a runtime: its own, those of one of its class, or the expected ones shifted by what its device's other runtimes show.
    pub fn runtime(&self, priors: &Priors, platform: &Platform, name: &str) -> RuntimeConstants {
        if let Some(own) = self.runtimes.get(name) {
            return own.clone();
        }
        let class = engine_class(name);
        let relatives = self.runtimes.iter().filter(|(other, _)| engine_class(other) == class);
        if let Some((_, relative)) = relatives.max_by_key(|(_, constants)| constants.rows()) {
            return relative.clone();
        }
        let mut expected = priors.runtime(platform, class);
        let (mut decode, mut prefill, mut all) = (0.0, 0.0, 0.0);
        for (other, constants) in &self.runtimes {
            let usual = priors.runtime(platform, engine_class(other));
            let (decode_shift, decode_rows) = shift(&constants.decode, &usual.decode, &constants.decode_rows);
            let (prefill_shift, prefill_rows) =
                shift(&constants.prefill, &usual.prefill, &constants.prefill_rows);
            decode += decode_shift * decode_rows / (decode_rows + 2.0);
            prefill += prefill_shift * prefill_rows / (prefill_rows + 2.0);
            all += 1.0;
        }
        if all > 0.0 {
            expected.decode.iter_mut().for_each(|value| *value += decode / all);
            expected.prefill.iter_mut().for_each(|value| *value += prefill / all);
        }
        expected
    }

    /// The machine at a number of threads.
    pub fn machine(&self, platform: &Platform, runtime: &RuntimeConstants, threads: usize) -> Machine {
        machine(platform, &self.shared, runtime, threads)
    }
}

/// The mean of `own - usual` over the measured formats, and the rows behind it.
fn shift(own: &[f64; FORMATS], usual: &[f64; FORMATS], rows: &[usize; FORMATS]) -> (f64, f64) {
    let all: usize = rows.iter().sum();
    let sum: f64 = (0..FORMATS).map(|at| rows[at] as f64 * (own[at] - usual[at])).sum();
    if all == 0 { (0.0, 0.0) } else { (sum / all as f64, all as f64) }
}

/// The machine that constants make at a number of threads.
pub fn machine(platform: &Platform, shared: &Shared, runtime: &RuntimeConstants, threads: usize) -> Machine {
    let rate = platform.rate_of(threads) * 1e9;
    let bandwidth = bandwidth(platform, shared, threads) * runtime.bandwidth_use.exp();
    let prefill = runtime.prefill.map(|operations| operations.exp() / rate);
    Machine {
        bandwidth,
        decode: runtime.decode.map(|operations| operations.exp() / rate),
        prefill,
        fixed_per_layer: fixed_per_layer(platform, shared, threads),
        cached_byte_cost: shared.cached_byte.exp(),
        attention: prefill[WeightFormat::F16.index()] * shared.attention.exp(),
    }
}

/// Bytes per second at a number of threads: what the threads can ask for and what the memory can give, softly the smaller, less what
/// threads lose by disturbing each other.
pub fn bandwidth(platform: &Platform, shared: &Shared, threads: usize) -> f64 {
    let most = platform.bandwidth * 1e9 * shared.bandwidth.exp();
    if !matches!(platform.kind, Kind::AppleProcessor | Kind::ArmProcessor | Kind::X86Processor) {
        return most;
    }
    let cores = platform.cores();
    let asked = shared.single_thread.exp() * crate::cost::effective_cores(&platform.clusters, threads);
    let reached = asked / (1.0 + asked.powi(3)).cbrt();
    let others = threads.min(cores).saturating_sub(1) as f64 / (cores - 1).max(1) as f64;
    most * reached * (-shared.contention * others).exp()
}

/// Seconds per layer and token at a number of threads.
pub fn fixed_per_layer(platform: &Platform, shared: &Shared, threads: usize) -> f64 {
    shared.fixed_per_layer.exp() * waiting(platform.is_processor(), threads, shared.waiting)
}
