//! Time per token.
//!
//! Decoding: for each storage type the longer of reading its bytes and unpacking its weights, then a fixed cost per layer and the cache.
//! Prefill: multiplications by type, attention over the prompt so far, activations in and out of memory, never faster than one
//! pass over the weights for each batch.

use secateur_model::CacheType;

use super::{Machine, Workload};

/// Tokens that llama.cpp works on at once in prefill (`n_ubatch`).
pub const BATCH: f64 = 512.0;

/// What holds a token up most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Reading weights from memory.
    Memory,
    /// Unpacking and multiplying weights.
    Compute,
    /// The fixed cost of every layer.
    Layers,
    /// Reading the cache, or attention in prefill.
    Context,
    /// Weights that do not fit memory come from storage.
    Storage,
}

/// Seconds per token, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Breakdown {
    /// Weights of types that wait for memory.
    pub memory: f64,
    /// Weights of types that wait for the cores.
    pub compute: f64,
    /// Fixed cost of the layers.
    pub layers: f64,
    /// The cache, or attention in prefill.
    pub context: f64,
    /// Reads from storage.
    pub storage: f64,
}

impl Breakdown {
    /// Seconds per token.
    pub fn total(&self) -> f64 {
        self.memory + self.compute + self.layers + self.context + self.storage
    }

    /// The largest cause.
    pub fn bound(&self) -> Bound {
        let causes = [
            (self.memory, Bound::Memory),
            (self.compute, Bound::Compute),
            (self.layers, Bound::Layers),
            (self.context, Bound::Context),
            (self.storage, Bound::Storage),
        ];
        causes
            .into_iter()
            .fold((0.0, Bound::Memory), |best, next| if next.0 > best.0 { next } else { best })
            .1
    }
}

/// Seconds for one more token after `context` tokens.
pub fn decode(machine: &Machine, workload: &Workload, context: f64, cache: CacheType) -> Breakdown {
    let mut time = Breakdown::default();
    for part in workload.parts() {
        let reading = part.bytes / machine.bandwidth;
        let unpacking = part.weights * machine.decode[part.format.index()];
        if reading >= unpacking { time.memory += reading } else { time.compute += unpacking }
    }
    time.layers = workload.layer_steps * machine.fixed_per_layer;
    let cached: f64 = workload.caches.iter().map(|group| cached_bytes(group, context, cache)).sum();
    time.context = cached * machine.cached_byte_cost / machine.bandwidth;
    time.memory += 2.0 * workload.state_bytes / machine.bandwidth;
    time
}

fn cached_bytes(group: &super::CacheGroup, context: f64, cache: CacheType) -> f64 {
    let seen = group.window.map_or(context, |window| context.min(window as f64));
    (group.layers * group.elements) as f64 * seen * cache.bytes_per_element()
}

/// Seconds per token of a prompt of `tokens` tokens, on average, after `depth` tokens that are cached already.
pub fn prefill(machine: &Machine, workload: &Workload, tokens: f64, depth: f64) -> Breakdown {
    let tokens = tokens.max(1.0);
    let mut time = Breakdown::default();
    for part in &workload.layers {
        time.compute += 2.0 * part.weights * machine.prefill[part.format.index()];
    }
    let stored: f64 = workload.layers.iter().map(|part| part.stored_bytes).sum();
    let passes = (tokens / BATCH).ceil() / tokens;
    let reading = stored / machine.bandwidth * passes;
    if reading > time.compute {
        (time.memory, time.compute) = (reading, 0.0);
    }
    if let Some(output) = workload.output {
        // the logits of the last token of each batch only
        let seconds =
            (output.bytes / machine.bandwidth).max(output.weights * machine.decode[output.format.index()]);
        time.memory += seconds * passes;
    }
    let activations = 4.0 * (12 * workload.hidden_size + 4 * workload.widest) as f64;
    time.memory += workload.layer_count as f64 * activations / machine.bandwidth;
    time.layers = workload.layer_steps * machine.fixed_per_layer * passes;
    for group in &workload.caches {
        let seen = depth + tokens / 2.0;
        let seen = group.window.map_or(seen, |window| seen.min(window as f64));
        time.context += group.layers as f64 * group.flops * seen * machine.attention;
    }
    time
}
