//! Peak memory of a runtime that holds a model.

use serde::{Deserialize, Serialize};

use super::Workload;

/// How keys and values are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(non_camel_case_types, missing_docs)] // llama.cpp's own names
pub enum CacheType {
    F32,
    #[default]
    F16,
    Q8_0,
    Q4_0,
}

impl CacheType {
    /// Bytes per cached element, scales included.
    pub fn bytes_per_element(self) -> f64 {
        match self {
            Self::F32 => 4.0,
            Self::F16 => 2.0,
            Self::Q8_0 => 34.0 / 32.0,
            Self::Q4_0 => 18.0 / 32.0,
        }
    }
}

/// Bytes that are in memory at the peak, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct MemoryUse {
    /// Weights, mapped or loaded.
    pub weights: f64,
    /// Keys and values, and state.
    pub cache: f64,
    /// Activations and logits of one batch.
    pub buffers: f64,
    /// The runtime itself.
    pub runtime: f64,
}

impl MemoryUse {
    /// The peak for a context of `context` tokens.
    ///
    /// `weights_factor`: bytes in memory per byte of file (1 where the file is mapped). `runtime`: the program itself.
    pub fn new(
        workload: &Workload,
        context: usize,
        cache: CacheType,
        weights_factor: f64,
        runtime: f64,
    ) -> Self {
        Self {
            weights: workload.file_bytes * weights_factor,
            cache: cache_bytes(workload, context, cache) + workload.state_bytes,
            buffers: buffer_bytes(workload, context),
            runtime,
        }
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.weights + self.cache + self.buffers + self.runtime
    }
}

/// llama.cpp rounds the cache's cells up to this.
const CELLS: usize = 256;

/// Keys and values of a whole context. A windowed layer holds its window and one batch (`llama-kv-cache-iswa.cpp` of llama.cpp).
pub fn cache_bytes(workload: &Workload, context: usize, cache: CacheType) -> f64 {
    let bytes = |group: &super::CacheGroup| {
        let cells =
            group.window.map_or(context, |window| context.min(window + super::estimate::BATCH as usize));
        let cells = cells.div_ceil(CELLS) * CELLS;
        (group.layers * group.elements * cells) as f64 * cache.bytes_per_element()
    };
    workload.caches.iter().map(bytes).sum()
}

/// Activations of a batch in `f32`: logits of the whole batch, or one layer's intermediate results, whichever is larger.
fn buffer_bytes(workload: &Workload, context: usize) -> f64 {
    let batch = (context as f64).min(super::estimate::BATCH);
    let layer = 4.0 * (6 * workload.hidden_size + 3 * workload.widest) as f64;
    let logits = 4.0 * workload.vocabulary_size as f64;
    batch * (layer + 4.0 * workload.hidden_size as f64).max(logits)
}
