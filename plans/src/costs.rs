//! What plans cost: bytes, and on each device memory and time.

use secateur_model::{ModelSpec, Role, TensorId, TensorType};
use secateur_profiles::WeightFormat;
use secateur_profiles::cost::{CacheType, Machine, MemoryUse, Workload, decode};
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
}

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;

impl Device {
    /// A profile's runtime, used up to a context of so many tokens.
    pub fn new(profile: &Profile, runtime: &Runtime, context: usize) -> Self {
        Self {
            name: profile.id.clone(),
            hardware: profile.hardware.clone(),
            runtime: runtime.clone(),
            machine: machine(&profile.hardware, runtime, None),
            context,
        }
    }

    /// Names of its two costs.
    pub(crate) fn quantities(&self) -> [String; 2] {
        [format!("bytes of memory on {}", self.name), format!("microseconds per token on {}", self.name)]
    }

    /// Their limits.
    pub(crate) fn limits(&self, limits: &Limits) -> [Option<f64>; 2] {
        let usable = self.hardware.usable_memory.value * GIB;
        let memory = limits.memory.map_or(usable, |asked| usable.min(asked as f64));
        [Some(memory), limits.decode.map(|tokens| 1e6 / tokens)]
    }

    /// What a shape costs before any matrix is counted, `rest` bytes of its file being no matrices: memory, microseconds.
    pub(crate) fn base(&self, spec: &ModelSpec, rest: u64) -> [f64; 2] {
        let nothing = Workload::new(spec, &[], rest);
        let own = self.runtime.own_memory.value * MIB;
        let in_memory = self.runtime.weights_in_memory.value;
        let memory = MemoryUse::new(&nothing, self.context, CacheType::F16, in_memory, own, 0.0).total();
        let time = decode(&self.machine, &nothing, self.context as f64 / 2.0, CacheType::F16).total();
        [memory, time * 1e6]
    }

    /// What a matrix adds that takes `bytes` of the file, padding included: memory, microseconds.
    pub(crate) fn matrix(
        &self,
        spec: &ModelSpec,
        id: TensorId,
        tensor_type: TensorType,
        bytes: u64,
    ) -> [f64; 2] {
        let mut memory = bytes as f64 * self.runtime.weights_in_memory.value;
        let format: WeightFormat = tensor_type.into();
        if id.role == Role::TokenEmbedding {
            // one of its own is looked up, not multiplied by
            if !spec.tied_embeddings {
                return [memory, 0.0];
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
        [memory, reading.max(unpacking) * 1e6]
    }
}
