//! Peak memory of a runtime that holds a model.

use secateur_model::CacheType;
use serde::Serialize;

use super::Workload;

/// Bytes that are in memory at the peak, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct MemoryUse {
    /// Weights, mapped or loaded.
    pub weights: f64,
    /// Keys and values, and state.
    pub cache: f64,
    /// Activations of one batch, and the mask of its attention.
    pub buffers: f64,
    /// The runtime itself, and the vocabulary.
    pub runtime: f64,
    /// Mapped weights that were copied in another order for the processor's kernels: nothing reads the originals again, and the system drops
    /// them before anything else.
    pub copied: f64,
}

impl MemoryUse {
    /// The peak for a context of `context` tokens.
    ///
    /// `weights_factor`: bytes in memory per byte of file (1 where the file is mapped). `runtime`: the program itself. `copied`: bytes of
    /// mapped weights that stand in memory a second time.
    pub fn new(
        workload: &Workload,
        context: usize,
        cache: CacheType,
        weights_factor: f64,
        runtime: f64,
        copied: f64,
    ) -> Self {
        Self {
            weights: workload.file_bytes * weights_factor,
            cache: cache_bytes(workload, context, cache) + workload.state_bytes,
            buffers: buffer_bytes(workload, context),
            runtime: runtime + VOCABULARY_TOKEN * workload.vocabulary_size as f64,
            copied,
        }
    }

    /// What has to be there: everything but the originals of copies.
    pub fn total(&self) -> f64 {
        self.weights + self.cache + self.buffers + self.runtime
    }

    /// What the system shows at the peak where memory is plenty.
    pub fn resident(&self) -> f64 {
        self.total() + self.copied
    }
}

/// Bytes of a token's text, score and place in the tables of llama.cpp, between vocabularies of 49,152 and of 262,144 tokens
/// (`check-memory` measures them).
const VOCABULARY_TOKEN: f64 = 130.0;

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

/// Activations of a batch in `f32`: four vectors as wide as the stream and two as the feed-forward part, the mask of attention over the whole
/// context, and the logits of one token.
fn buffer_bytes(workload: &Workload, context: usize) -> f64 {
    let batch = (context as f64).min(super::estimate::BATCH);
    let activations = (4 * workload.hidden_size + 2 * workload.widest) as f64;
    4.0 * (batch * (activations + context as f64) + workload.vocabulary_size as f64)
}
