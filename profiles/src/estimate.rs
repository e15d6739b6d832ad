//! The question that `whatif` asks: what does this model cost on that device?

use secateur_model::CacheType;
use serde::Serialize;

use crate::cost::{
    Bound, Breakdown, Machine, MemoryUse, ROUTING_SKEW, Workload, decode, effective_cores, expert_reads,
    prefill, waiting,
};
use crate::fit::typical;
use crate::profile::{Hardware, Processor, Profile, Runtime};
use crate::{FORMATS, WeightFormat};

/// How the model is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Longest context, in tokens: what memory is reserved for, and how deep decoding is timed.
    pub context: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// How keys and values are cached.
    pub cache: CacheType,
    /// Threads; the runtime's own choice if `None`.
    pub threads: Option<usize>,
    /// The file is read into memory, not mapped.
    pub loaded: bool,
}

/// What a model costs on a device. Times in seconds, sizes in bytes; everything is estimated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Size of the file.
    pub file_bytes: u64,
    /// Memory at the peak.
    pub memory: MemoryUse,
    /// Memory that an app may use on the device.
    pub usable_memory: u64,
    /// Tokens per second in decoding, half way through the context.
    pub decode: f64,
    /// Tokens per second in prefill.
    pub prefill: f64,
    /// Seconds to the first token when the file is in memory.
    pub first_token: f64,
    /// The same when it is read from storage first; `None` if the profile does not say how fast.
    pub first_token_cold: Option<f64>,
    /// Joules per decoded token; `None` if the profile does not know the power.
    pub energy: Option<f64>,
    /// What holds decoding up most.
    pub bound: Bound,
    /// What holds prefill up most.
    pub prefill_bound: Bound,
    /// Seconds per decoded token by cause.
    #[serde(skip)]
    pub decode_time: Breakdown,
    /// Seconds per prompt token by cause.
    #[serde(skip)]
    pub prefill_time: Breakdown,
    /// Median error of the profile's decoding speeds, as a part.
    pub decode_error: f64,
    /// Median error of the profile's prefill speeds, as a part.
    pub prefill_error: f64,
}

impl Estimate {
    /// True if the peak is within what an app may use.
    pub fn fits(&self) -> bool {
        self.memory.total() <= self.usable_memory as f64
    }
}

const GIB: f64 = 1_073_741_824.0;

/// Estimates a model on a device.
pub fn estimate(profile: &Profile, runtime: &Runtime, workload: &Workload, usage: &Usage) -> Estimate {
    let machine = machine(&profile.hardware, runtime, usage.threads);
    with_machine(&profile.hardware, runtime, &machine, workload, usage)
}

/// The same with a machine that is known already: for search, which asks millions of times.
pub fn with_machine(
    hardware: &Hardware,
    runtime: &Runtime,
    machine: &Machine,
    workload: &Workload,
    usage: &Usage,
) -> Estimate {
    let own_memory = runtime.own_memory.value * 1024.0 * 1024.0;
    let weights_factor = runtime.weights_in_memory.value;
    let copied = if usage.loaded { 0.0 } else { repacked(workload, runtime) };
    let mut memory = MemoryUse::new(workload, usage.context, usage.cache, weights_factor, own_memory, copied);
    memory.weights += held_twice(workload, runtime);
    let usable_memory = hardware.usable_memory.value * GIB;
    let depth = usage.context as f64 / 2.0;
    let mut decode_time = decode(machine, workload, depth, usage.cache);
    let prompt = usage.prompt as f64;
    let mut prefill_time = prefill(machine, workload, prompt, 0.0);
    let storage = hardware.storage.as_ref().map(|speed| speed.value * 1e6);
    if memory.total() > usable_memory {
        let speed = storage.unwrap_or(100e6);
        let missing = memory.total() - usable_memory;
        (decode_time.storage, prefill_time.storage) =
            storage_times(workload, missing, speed, prompt, decode_time.context + decode_time.layers);
    }
    let first_decode = decode(machine, workload, prompt, usage.cache).total() + decode_time.storage;
    let first_token = prompt * prefill_time.total() + first_decode;
    Estimate {
        file_bytes: workload.file_bytes as u64,
        memory,
        usable_memory: usable_memory as u64,
        decode: 1.0 / decode_time.total(),
        prefill: 1.0 / prefill_time.total(),
        first_token,
        first_token_cold: storage.map(|speed| first_token + workload.file_bytes / speed),
        energy: hardware.power.as_ref().map(|power| power.value * decode_time.total()),
        bound: decode_time.bound(),
        prefill_bound: prefill_time.bound(),
        decode_time,
        prefill_time,
        decode_error: runtime.decode_error.value / 100.0,
        prefill_error: runtime.prefill_error.value / 100.0,
    }
}

/// Bytes of weights in types that the runtime copies in another order, and whose originals nothing reads again.
fn repacked(workload: &Workload, runtime: &Runtime) -> f64 {
    let output = workload.output.iter().filter(|_| !workload.is_tied());
    let parts = workload.layers.iter().chain(output).filter(|part| runtime.repacks.contains(&part.format));
    parts.map(|part| part.stored_bytes).sum()
}

/// Bytes of a token embedding that is the output projection, too, and stands in memory in two orders: one to look up, one to multiply by.
fn held_twice(workload: &Workload, runtime: &Runtime) -> f64 {
    let tied = workload.output.iter().filter(|_| workload.is_tied());
    tied.filter(|part| runtime.repacks.contains(&part.format)).map(|part| part.stored_bytes).sum()
}

/// Seconds that a decoded token and a prompt token wait for storage when `missing` bytes do not fit memory; `hidden` seconds of a token run
/// beside the reads where the router allows it.
fn storage_times(workload: &Workload, missing: f64, speed: f64, prompt: f64, hidden: f64) -> (f64, f64) {
    let passes = (prompt / crate::cost::BATCH).ceil() / prompt.max(1.0);
    let stored: f64 = workload.layers.iter().map(|part| part.stored_bytes).sum();
    match &workload.experts {
        Some(experts) if missing < experts.stored => {
            let reads = expert_reads(experts, experts.stored - missing, ROUTING_SKEW) / speed;
            let beside = if experts.routed_early { hidden.min(reads) } else { 0.0 };
            (reads - beside, passes * missing / speed)
        }
        // pages are dropped in the order of their last use, so a pass over a file that is too large finds none of them
        _ => (workload.bytes_per_token() / speed, stored * passes / speed),
    }
}

/// The machine of a profile's runtime at a number of threads.
pub fn machine(hardware: &Hardware, runtime: &Runtime, threads: Option<usize>) -> Machine {
    let threads = match hardware.processor {
        Processor::Cpu => threads.unwrap_or(runtime.threads),
        _ => hardware.clusters.iter().map(|cluster| cluster.count).sum(),
    };
    let speed = |at: usize| hardware.clusters[at].clock.value * hardware.clusters[at].vector.value;
    let clusters: Vec<_> =
        (0..hardware.clusters.len()).map(|at| (hardware.clusters[at].count, speed(at) / speed(0))).collect();
    let cores = effective_cores(&clusters, threads);
    let decode = per_format(typical::decode_operations, |format| Some(runtime.decode.get(&format)?.value));
    let prefill =
        per_format(typical::prefill_operations, |format| Some(1.0 / runtime.prefill.get(&format)?.value));
    let prefill = prefill.map(|seconds| seconds * 1e-9 / cores);
    let waiting = waiting(hardware.processor == Processor::Cpu, threads, runtime.waiting.value);
    Machine {
        bandwidth: bandwidth(hardware, threads) * 1e9 * runtime.bandwidth_use.value,
        decode: decode.map(|nanoseconds| nanoseconds * 1e-9 / cores),
        prefill,
        fixed_per_layer: runtime.fixed_per_layer.value * 1e-6 * waiting,
        cached_byte_cost: runtime.cached_byte.value,
        attention: prefill[WeightFormat::F16.index()] * runtime.attention.value,
    }
}

/// GB/s between the thread counts that the profile states, on a straight line of logarithms; the nearest beyond them.
fn bandwidth(hardware: &Hardware, threads: usize) -> f64 {
    let below = hardware.bandwidth.range(..=threads).next_back();
    let above = hardware.bandwidth.range(threads..).next();
    match (below, above) {
        (Some((low, from)), Some((high, to))) if low < high => {
            let part = (threads as f64 / *low as f64).ln() / (*high as f64 / *low as f64).ln();
            from.value.powf(1.0 - part) * to.value.powf(part)
        }
        (Some((_, value)), _) | (None, Some((_, value))) => value.value,
        // a checked profile has an entry
        (None, None) => hardware.specified_bandwidth.value,
    }
}

/// A number for each format: the profile's, or what is typical beside the ones that it has.
fn per_format(typical: fn(WeightFormat) -> f64, own: impl Fn(WeightFormat) -> Option<f64>) -> [f64; FORMATS] {
    let known: Vec<f64> = WeightFormat::ALL
        .into_iter()
        .filter_map(|format| Some((own(format)? / typical(format)).ln()))
        .collect();
    let scale = (known.iter().sum::<f64>() / known.len().max(1) as f64).exp();
    WeightFormat::ALL.map(|format| own(format).unwrap_or_else(|| scale * typical(format)))
}

/// What would make decoding faster: the change, and the tokens per second that it gives.
pub fn advice(machine: &Machine, workload: &Workload, usage: &Usage, now: f64) -> (String, f64) {
    let depth = usage.context as f64 / 2.0;
    let speed = |workload: &Workload, cache: CacheType| 1.0 / decode(machine, workload, depth, cache).total();
    let mut best = ("nothing that we know".to_owned(), now);
    let mut consider = |change: String, speed: f64| {
        if speed > best.1 * 1.02 {
            best = (change, speed);
        }
    };
    for format in
        [WeightFormat::Q8_0, WeightFormat::Q6_K, WeightFormat::Q5_K, WeightFormat::Q4_K, WeightFormat::Q4_0]
    {
        let mut changed = workload.clone();
        for part in changed.layers.iter_mut().chain(&mut changed.output) {
            let bytes = part.weights * format.bits_per_weight() / 8.0;
            (part.format, part.bytes) = (format, bytes);
        }
        consider(format!("{format} for all matrices"), speed(&changed, usage.cache));
    }
    if usage.cache != CacheType::Q8_0 {
        consider("a cache in q8_0".to_owned(), speed(workload, CacheType::Q8_0));
    }
    let mut pruned = workload.clone();
    for part in &mut pruned.layers {
        (part.weights, part.bytes) = (part.weights * 0.8, part.bytes * 0.8);
    }
    pruned.layer_count = pruned.layer_count * 4 / 5;
    pruned.layer_steps *= 0.8;
    pruned.caches.iter_mut().for_each(|group| group.layers = group.layers * 4 / 5);
    consider("a fifth of the layers less".to_owned(), speed(&pruned, usage.cache));
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Sizes;
    use crate::label::labelled;
    use crate::library;

    fn usage(context: usize) -> Usage {
        Usage { context, prompt: 128, cache: CacheType::F16, threads: None, loaded: false }
    }

    /// Speeds of the published table, by `llama-bench` on that board; the profile was fitted to them, in another form.
    #[test]
    fn a_raspberry_pi_5_is_as_fast_as_measured() {
        let profile = library::find("raspberry-pi-5-8gb").unwrap();
        let runtime = profile.runtime(None).unwrap();
        let workload = labelled(&Sizes::of_name("Llama-3.2-1B").unwrap().spec(), "Q4_0").unwrap();
        let estimate = estimate(&profile, runtime, &workload, &usage(128));
        assert!((10.0..20.0).contains(&estimate.decode), "{}", estimate.decode);
        assert!(estimate.fits());
    }

    #[test]
    fn a_file_larger_than_memory_falls_off_a_cliff() {
        let profile = library::find("raspberry-pi-5-8gb").unwrap();
        let runtime = profile.runtime(None).unwrap();
        let spec = Sizes::of_name("Llama-3-8B").unwrap().spec();
        let small = estimate(&profile, runtime, &labelled(&spec, "Q4_0").unwrap(), &usage(512));
        let large = estimate(&profile, runtime, &labelled(&spec, "Q8_0").unwrap(), &usage(512));
        assert!(small.fits() && !large.fits());
        assert!(large.decode < small.decode / 10.0, "{} {}", small.decode, large.decode);
        assert_eq!(large.bound, Bound::Storage);
    }

    #[test]
    fn types_that_a_profile_leaves_out_are_priced_beside_the_others() {
        let mut profile = library::find("raspberry-pi-5-8gb").unwrap();
        let runtime = &mut profile.runtimes[0];
        let full = machine(&profile.hardware, runtime, None);
        runtime.decode.retain(|format, _| *format == WeightFormat::Q4_0);
        let sparse = machine(&profile.hardware, runtime, None);
        let ratio = sparse.decode[WeightFormat::Q8_0.index()] / full.decode[WeightFormat::Q8_0.index()];
        assert!((0.3..3.0).contains(&ratio), "{ratio}");
    }
}
