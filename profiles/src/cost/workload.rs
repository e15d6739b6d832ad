//! What a model asks of a device for each token, summed over its tensors by storage type.

use std::collections::BTreeMap;

use secateur_model::plan::TensorPlan;
use secateur_model::spec::LayerSpec;
use secateur_model::{ModelSpec, Role};

use crate::WeightFormat;

/// Weights of one storage type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// How they are stored.
    pub format: WeightFormat,
    /// Weights that one token is multiplied by.
    pub weights: f64,
    /// Bytes that one token reads.
    pub bytes: f64,
    /// Bytes of all of them; more than `bytes` where experts are chosen from.
    pub stored_bytes: f64,
}

/// Layers whose caches grow alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheGroup {
    /// How many layers.
    pub layers: usize,
    /// Cached elements per token and layer (keys and values).
    pub elements: usize,
    /// Multiplications and additions per cached token, layer and new token.
    pub flops: f64,
    /// Positions seen; all if `None`.
    pub window: Option<usize>,
}

/// Experts that can be left in storage until a token needs them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertBytes {
    /// In each layer.
    pub count: usize,
    /// Of all experts.
    pub stored: f64,
    /// Of those that one token passes through.
    pub used: f64,
    /// The router sees the layer's input, so that experts are read while attention runs ("SmallThinker").
    pub routed_early: bool,
}

/// A model as the cost formulas see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Matrices of the layers, by storage type.
    pub layers: Vec<Part>,
    /// The output projection; the token embedding where they are tied.
    pub output: Option<Part>,
    /// The file, header included if it is known.
    pub file_bytes: f64,
    /// Bytes of a token embedding that is looked up and not multiplied by.
    pub lookup_bytes: f64,
    /// Decoder layers that do anything.
    pub layer_count: usize,
    /// The same, counted in layers of a dense decoder by their steps: routers and state-space mixers take more of them.
    pub layer_steps: f64,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Rows of the output projection.
    pub vocabulary_size: usize,
    /// Width of the widest feed-forward part.
    pub widest: usize,
    /// Caches of keys and values.
    pub caches: Vec<CacheGroup>,
    /// Bytes of state that do not grow with the context.
    pub state_bytes: f64,
    /// Experts, if it has any.
    pub experts: Option<ExpertBytes>,
    /// Longest context that the model was trained for.
    pub context_length: usize,
}

impl Workload {
    /// True if the output projection is the token embedding.
    pub fn is_tied(&self) -> bool {
        self.lookup_bytes == 0.0
    }

    /// The workload of a model whose tensors are planned.
    pub fn new(spec: &ModelSpec, tensors: &[TensorPlan], file_bytes: u64) -> Self {
        let mut layers: BTreeMap<WeightFormat, Part> = BTreeMap::new();
        let (mut output, mut lookup_bytes) = (None, 0.0);
        for tensor in tensors.iter().filter(|tensor| tensor.id.role.is_matrix()) {
            let (weights, bytes) = (tensor.elements() as f64, tensor.bytes as f64);
            let part = Part { format: tensor.to.into(), weights, bytes, stored_bytes: bytes };
            match tensor.id.role {
                Role::TokenEmbedding if !spec.tied_embeddings => lookup_bytes = bytes,
                Role::TokenEmbedding | Role::Output => output = Some(part),
                _ => {
                    let sum = layers.entry(part.format).or_insert(Part {
                        weights: 0.0,
                        bytes: 0.0,
                        stored_bytes: 0.0,
                        ..part
                    });
                    sum.weights += weights;
                    sum.bytes += bytes;
                    sum.stored_bytes += bytes;
                }
            }
        }
        let width = |layer: &LayerSpec| layer.gated().map_or(0, |gated| gated.width);
        let is_alive = |layer: &&LayerSpec| layer.attention().is_some() || width(layer) > 0;
        let layer_count = spec.layers.iter().filter(is_alive).count();
        Self {
            layers: layers.into_values().collect(),
            output,
            file_bytes: file_bytes as f64,
            lookup_bytes,
            layer_count,
            layer_steps: layer_count as f64,
            hidden_size: spec.hidden_size,
            vocabulary_size: spec.vocabulary_size,
            widest: spec.layers.iter().map(width).max().unwrap_or(0),
            caches: cache_groups(spec),
            state_bytes: 0.0,
            experts: None,
            context_length: spec.context_length,
        }
    }

    /// Everything that one decoded token is multiplied by.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.layers.iter().chain(&self.output)
    }

    /// Bytes of weights that one decoded token reads.
    pub fn bytes_per_token(&self) -> f64 {
        self.parts().map(|part| part.bytes).sum()
    }

    /// The same model in a file of another size: what its maker's mix of types really weighs.
    #[must_use]
    pub fn scaled_to(mut self, file_bytes: f64) -> Self {
        let ratio = file_bytes / self.file_bytes;
        for part in self.layers.iter_mut().chain(&mut self.output) {
            part.bytes *= ratio;
            part.stored_bytes *= ratio;
        }
        self.file_bytes = file_bytes;
        self.lookup_bytes *= ratio;
        self
    }
}

fn cache_groups(spec: &ModelSpec) -> Vec<CacheGroup> {
    let mut groups: Vec<CacheGroup> = Vec::new();
    for attention in spec.layers.iter().filter_map(LayerSpec::attention) {
        let group = CacheGroup {
            layers: 1,
            elements: 2 * attention.kv_heads * attention.head_size,
            // scores and weighted values: a multiplication and an addition each
            flops: (4 * attention.heads * attention.head_size) as f64,
            window: attention.window,
        };
        match groups.iter_mut().find(|other| CacheGroup { layers: 1, ..**other } == group) {
            Some(other) => other.layers += 1,
            None => groups.push(group),
        }
    }
    groups
}
