//! What a model costs on a device: time, memory, energy. Pure arithmetic on a [`Workload`] and a [`Machine`].

mod estimate;
mod experts;
mod machine;
mod memory;
mod workload;

pub use estimate::{BATCH, Bound, Breakdown, decode, prefill};
pub use experts::{ROUTING_SKEW, expert_reads};
pub use machine::{Machine, effective_cores, waiting};
pub use memory::MemoryUse;
pub use workload::{CacheGroup, ExpertBytes, Part, Workload};
