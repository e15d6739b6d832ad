//! What plans cost: bytes, and on each device memory and time.

use secateur_model::{CacheType, ModelSpec, Role, TensorId, TensorType};
use secateur_profiles::WeightFormat;
use secateur_profiles::cost::{BATCH, Machine, MemoryUse, Workload, decode, prefill};
use secateur_profiles::estimate::machine;
use secateur_profiles::profile::{Hardware, Profile, Runtime};

/// Limits that a user sets, and those of the devices themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Bytes of model.gguf.
    pub size: Option<u64>,
    /// Bytes of memory at the peak; a device's own limit is kept anyway.
    pub memory: Option<u64>,
    /// Decoded tokens per second.
    pub decode: Option<f64>,
    /// Tokens of a prompt per second.
    pub prefill: Option<f64>,
    /// Joules for a decoded token.
    pub energy: Option<f64>,
}

/// A device to fit.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its name.
    pub name: String,
    hardware: Hardware,
    runtime: Runtime,
    machine: Machine,
    context: usize,
    prompt: usize,
}

/// Costs on a device, all but the first in microseconds.
const COSTS: [&str; Device::COSTS] =
    ["bytes of memory", "microseconds per token", "microseconds per token of a prompt"];

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;

impl Device {
    /// How many costs there are.
    pub(crate) const COSTS: usize = 3;

    /// A profile's runtime, used up to a context of so many tokens, with prompts of so many.
    pub fn new(profile: &Profile, runtime: &Runtime, context: usize, prompt: usize) -> Self {
        Self {
            name: profile.id.clone(),
            hardware: profile.hardware.clone(),
            runtime: runtime.clone(),
            machine: machine(&profile.hardware, runtime, None),
            context,
            prompt,
        }
    }

    /// Names of its costs.
    pub(crate) fn quantities(&self) -> [String; Self::COSTS] {
        COSTS.map(|cost| format!("{cost} on {}", self.name))
    }

    /// Their limits.
    pub(crate) fn limits(&self, limits: &Limits) -> [Option<f64>; Self::COSTS] {
        let usable = self.hardware.usable_memory.value * GIB;
        let memory = limits.memory.map_or(usable, |asked| usable.min(asked as f64));
        let time = |tokens: Option<f64>| tokens.map(|per_second| 1e6 / per_second);
        // of a device whose power is not known, no token is within a limit of energy
        let power = self.hardware.power.as_ref().map_or(f64::INFINITY, |power| power.value);
        let of_energy = limits.energy.map(|joules| 1e6 * joules / power);
        let per_token = [time(limits.decode), of_energy].into_iter().flatten().reduce(f64::min);
        [Some(memory), per_token, time(limits.prefill)]
    }

    /// What a shape costs before any matrix is counted, `rest` bytes of its file being no matrices, its keys and values kept as `cache` says.
    pub(crate) fn base(&self, spec: &ModelSpec, rest: u64, cache: CacheType) -> [f64; Self::COSTS] {
        let nothing = Workload::new(spec, &[], rest);
        let own = self.runtime.own_memory.value * MIB;
        let in_memory = self.runtime.weights_in_memory.value;
        let memory = MemoryUse::new(&nothing, self.context, cache, in_memory, own, 0.0).total();
        let time = decode(&self.machine, &nothing, self.context as f64 / 2.0, cache).total();
        let of_prompt = prefill(&self.machine, &nothing, self.prompt as f64, 0.0).total();
        [memory, time * 1e6, of_prompt * 1e6]
    }

    /// What a matrix adds that takes `bytes` of the file, padding included. A prompt is thought to wait for arithmetic and not for weights, which are
    /// read once for many tokens.
    pub(crate) fn matrix(
        &self,
        spec: &ModelSpec,
        id: TensorId,
        tensor_type: TensorType,
        bytes: u64,
    ) -> [f64; Self::COSTS] {
        let mut memory = bytes as f64 * self.runtime.weights_in_memory.value;
        let format: WeightFormat = tensor_type.into();
        if id.role == Role::TokenEmbedding {
            // one of its own is looked up, not multiplied by
            if !spec.tied_embeddings {
                return [memory, 0.0, 0.0];
            }
            // both is done with a tied one, and where the kernels want another order it stands in memory twice
            if self.runtime.repacks.contains(&format) {
                memory += bytes as f64;
            }
        }
        let weights = spec.shape(id).map_or(0.0, |shape| shape.iter().product::<usize>() as f64);
        // padding is not read
        let read = weights * tensor_type.bits_per_weight() / 8.0;
        let reading = read / self.machine.bandwidth;
        let unpacking = weights * self.machine.decode[format.index()];
        let time = reading.max(unpacking);
        let of_prompt = if id.layer.is_some() {
            2.0 * weights * self.machine.prefill[format.index()]
        } else {
            // for the last token of each batch
            let prompt = self.prompt.max(1) as f64;
            time * (prompt / BATCH).ceil() / prompt
        };
        [memory, time * 1e6, of_prompt * 1e6]
    }
}
