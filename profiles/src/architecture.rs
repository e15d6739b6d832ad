//! Models that we can price and not yet cut: experts, latent attention, state-space and hybrid layers, from their config.json.

use secateur_model::TensorType;
use secateur_model::types::fallback;
use serde_json::Value;

use crate::WeightFormat;
use crate::cost::{CacheGroup, ExpertBytes, Part, Workload};

/// Equal matrices of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrices {
    /// Output features of each.
    pub rows: usize,
    /// Input features of each.
    pub columns: usize,
    /// How many there are.
    pub count: usize,
    /// How many of them a token passes through; not a whole number where an engine reads a part of each.
    pub used: f64,
    /// Too small or too delicate to be quantized: routers, convolutions.
    pub plain: bool,
}

/// Experts of every layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// In each layer.
    pub count: usize,
    /// For each token.
    pub used: usize,
    /// The router sees the layer's input, so that experts are read while attention runs ("SmallThinker").
    pub routed_early: bool,
    /// Part of an expert's channels that the engine reads beyond the gate: 1 for engines that do not look which are zero.
    pub active_channels: f64,
}

/// Channels of a chosen expert that a token activates at most: "SmallThinker" tells that over 60 % of them are zero behind its `relu` gate.
pub const ACTIVE_CHANNELS: f64 = 0.4;

/// A model as matrices and caches.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// `model_type` of its config.
    pub family: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Rows of the token embedding.
    pub vocabulary_size: usize,
    /// The output projection is the token embedding.
    pub tied: bool,
    /// Matrices of all layers.
    pub matrices: Vec<Matrices>,
    /// Numbers in norms, biases and the like.
    pub vectors: usize,
    /// What grows with the context.
    pub cache: CacheGroup,
    /// Cached elements per token and layer if keys and values were stored for every head.
    pub expanded_elements: usize,
    /// Bytes of state per layer, whatever the context.
    pub state_bytes: usize,
    /// Experts, if it has any.
    pub experts: Option<Experts>,
    /// Operations of a layer's graph beside those of a dense decoder's; each is a step at which threads wait for each other.
    pub steps: f64,
    /// Width of a feed-forward part.
    pub ffn_width: usize,
    /// Longest context in tokens.
    pub context_length: usize,
}

/// Why a config cannot be priced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// A size is missing or no positive number.
    #[error("`{key}` is missing or no positive number")]
    Size {
        /// Its name in the config.
        key: &'static str,
    },
    /// A family that has no formula.
    #[error("`{family}` has no cost formula; those that can be priced but not cut are: {KNOWN}")]
    Unknown {
        /// `model_type`.
        family: String,
    },
}

const KNOWN: &str = "smallthinker, plm, falcon_h1";

/// The sizes of a config.
struct Config<'a>(&'a Value);

impl Config<'_> {
    fn size(&self, key: &'static str) -> Result<usize, ArchitectureError> {
        self.optional(key).ok_or(ArchitectureError::Size { key })
    }

    fn optional(&self, key: &str) -> Option<usize> {
        self.0.get(key)?.as_u64().filter(|size| (1..=1 << 31).contains(size)).map(|size| size as usize)
    }

    fn flag(&self, key: &str, usual: bool) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(usual)
    }
}

impl Architecture {
    /// Reads a config.json of a family that we know how to price.
    ///
    /// # Errors
    /// If the family is not known or a size is missing.
    pub fn from_config(config: &Value) -> Result<Self, ArchitectureError> {
        let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let config = Config(config);
        match family {
            "smallthinker" => Self::small_thinker(&config),
            "plm" => Self::plm(&config),
            "falcon_h1" => Self::falcon_h1(&config),
            other => Err(ArchitectureError::Unknown { family: other.to_owned() }),
        }
    }

    fn common(config: &Config, family: &str, cache: CacheGroup) -> Result<Self, ArchitectureError> {
        Ok(Self {
            family: family.to_owned(),
            hidden_size: config.size("hidden_size")?,
            layers: config.size("num_hidden_layers")?,
            vocabulary_size: config.size("vocab_size")?,
            tied: config.flag("tie_word_embeddings", false),
            matrices: Vec::new(),
            vectors: config.size("hidden_size")?,
            cache,
            expanded_elements: cache.elements,
            state_bytes: 0,
            experts: None,
            steps: 1.0,
            ffn_width: 0,
            context_length: config.optional("max_position_embeddings").unwrap_or(32_768),
        })
    }

    fn add(&mut self, rows: usize, columns: usize, per_layer: usize, used: f64, plain: bool) {
        let (count, used) = (per_layer * self.layers, used * self.layers as f64);
        self.matrices.push(Matrices { rows, columns, count, used, plain });
    }

    /// Grouped-query attention, then experts whose router reads the layer's input ("SmallThinker", sections 2.1 and 2.2).
    fn small_thinker(config: &Config) -> Result<Self, ArchitectureError> {
        let (heads, kv_heads) = (config.size("num_attention_heads")?, config.size("num_key_value_heads")?);
        let hidden_size = config.size("hidden_size")?;
        let model = Self::of_experts(&ExpertSizes {
            hidden_size,
            layers: config.size("num_hidden_layers")?,
            heads,
            kv_heads,
            head_size: config.optional("head_dim").unwrap_or(hidden_size / heads),
            experts: Experts {
                count: config.size("moe_num_primary_experts")?,
                used: config.size("moe_num_active_primary_experts")?,
                routed_early: true,
                active_channels: 1.0,
            },
            width: config.size("moe_ffn_hidden_size")?,
            vocabulary_size: config.size("vocab_size")?,
            tied: config.flag("tie_word_embeddings", false),
        });
        Ok(Self { context_length: config.optional("max_position_embeddings").unwrap_or(32_768), ..model })
    }

    /// Latent attention (one compressed vector per token for all heads) and a feed-forward part without a gate ("PLM", section 2).
    fn plm(config: &Config) -> Result<Self, ArchitectureError> {
        let (heads, hidden) = (config.size("num_attention_heads")?, config.size("hidden_size")?);
        let (latent, rotated) = (config.size("kv_lora_rank")?, config.size("qk_rope_head_dim")?);
        let (plain, value) = (config.size("qk_nope_head_dim")?, config.size("v_head_dim")?);
        let layers = config.size("num_hidden_layers")?;
        let cache = CacheGroup {
            layers,
            elements: latent + rotated,
            flops: (2 * heads * (2 * latent + rotated)) as f64,
            window: None,
        };
        let mut model = Self::common(config, "plm", cache)?;
        let width = config.size("intermediate_size")?;
        match config.optional("q_lora_rank") {
            Some(rank) => {
                model.add(rank, hidden, 1, 1.0, false);
                model.add(heads * (plain + rotated), rank, 1, 1.0, false);
                model.vectors += rank * layers;
            }
            None => model.add(heads * (plain + rotated), hidden, 1, 1.0, false),
        }
        model.add(latent + rotated, hidden, 1, 1.0, false);
        model.add(heads * (plain + value), latent, 1, 1.0, false);
        model.add(hidden, heads * value, 1, 1.0, false);
        model.add(width, hidden, 1, 1.0, false);
        model.add(hidden, width, 1, 1.0, false);
        model.vectors += (2 * hidden + latent) * layers;
        model.expanded_elements = heads * (plain + rotated + value);
        model.ffn_width = width;
        Ok(model)
    }

    /// Attention and a Mamba-2 mixer side by side in every layer ("Falcon-H1", section 2).
    fn falcon_h1(config: &Config) -> Result<Self, ArchitectureError> {
        let (heads, kv_heads) = (config.size("num_attention_heads")?, config.size("num_key_value_heads")?);
        let hidden = config.size("hidden_size")?;
        let head = config.optional("head_dim").unwrap_or(hidden / heads);
        let layers = config.size("num_hidden_layers")?;
        let mut model = Self::common(config, "falcon_h1", attention_cache(layers, heads, kv_heads, head))?;
        let (inner, state) = (config.size("mamba_d_ssm")?, config.size("mamba_d_state")?);
        let (ssm_heads, groups) = (config.size("mamba_n_heads")?, config.size("mamba_n_groups")?);
        let (kernel, width) = (config.size("mamba_d_conv")?, config.size("intermediate_size")?);
        let channels = inner + 2 * groups * state;
        add_attention(&mut model, heads, kv_heads, head);
        // gate, input and state projections, and a step per head
        model.add(inner + channels + ssm_heads, hidden, 1, 1.0, false);
        model.add(channels, kernel, 1, 1.0, true);
        model.add(hidden, inner, 1, 1.0, false);
        model.add(width, hidden, 2, 2.0, false);
        model.add(hidden, width, 1, 1.0, false);
        let convolution_bias = if config.flag("mamba_conv_bias", true) { channels } else { 0 };
        let gated_norm = if config.flag("mamba_rms_norm", false) { inner } else { 0 };
        // step bias, decay and skip of each head
        model.vectors += (2 * hidden + convolution_bias + gated_norm + 3 * ssm_heads) * layers;
        model.state_bytes = 4 * (inner * state + channels * (kernel - 1));
        // projections, convolution, scan, skip and gate of the mixer, and what splits and joins them
        model.steps = (DENSE_STEPS + 14.0) / DENSE_STEPS;
        model.ffn_width = width;
        Ok(model)
    }

    /// Falcon-H1-0.5B by its published config.
    pub fn falcon_h1_half_billion() -> Option<Self> {
        let config = serde_json::json!({
            "model_type": "falcon_h1", "hidden_size": 1024, "intermediate_size": 2048, "num_hidden_layers": 36,
            "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 32_784,
            "mamba_d_ssm": 1536, "mamba_d_state": 128, "mamba_n_heads": 24, "mamba_n_groups": 1, "mamba_d_conv": 4,
            "mamba_conv_bias": true, "mamba_rms_norm": false, "tie_word_embeddings": false,
        });
        Self::from_config(&config).ok()
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        let matrices: usize = self.matrices.iter().map(|m| m.rows * m.columns * m.count).sum();
        let embeddings = self.vocabulary_size * self.hidden_size * if self.tied { 1 } else { 2 };
        (matrices + embeddings + self.vectors) as u64
    }

    /// Bytes of cache per token and layer, in `f16`: as the model caches, and if every head had its own keys and values.
    pub fn cache_bytes_per_token(&self) -> (usize, usize) {
        (2 * self.cache.elements, 2 * self.expanded_elements)
    }

    /// The model with all matrices in one type, with llama.cpp's fallbacks for rows that do not fill blocks.
    pub fn workload(&self, tensor_type: TensorType) -> Workload {
        let mut parts: Vec<Part> = Vec::new();
        for matrices in &self.matrices {
            let asked = if matrices.plain { TensorType::F32 } else { tensor_type };
            let part = part(asked, matrices.rows, matrices.columns, matrices.count, matrices.used);
            match parts.iter_mut().find(|sum| sum.format == part.format) {
                Some(sum) => {
                    sum.weights += part.weights;
                    sum.bytes += part.bytes;
                    sum.stored_bytes += part.stored_bytes;
                }
                None => parts.push(part),
            }
        }
        let output = part(tensor_type, self.vocabulary_size, self.hidden_size, 1, 1.0);
        let lookup_bytes = if self.tied { 0.0 } else { output.bytes };
        let stored: f64 = parts.iter().map(|part| part.stored_bytes).sum();
        Workload {
            layers: parts,
            output: Some(output),
            file_bytes: stored + output.bytes + lookup_bytes + 4.0 * self.vectors as f64,
            lookup_bytes,
            layer_count: self.layers,
            layer_steps: self.steps * self.layers as f64,
            hidden_size: self.hidden_size,
            vocabulary_size: self.vocabulary_size,
            widest: self.ffn_width,
            caches: vec![self.cache],
            state_bytes: (self.state_bytes * self.layers) as f64,
            experts: self.expert_bytes(tensor_type),
            context_length: self.context_length,
        }
    }
}

impl Architecture {
    /// Grouped-query attention and experts of these sizes, as in SmallThinker.
    pub fn of_experts(sizes: &ExpertSizes) -> Self {
        let &ExpertSizes {
            hidden_size,
            layers,
            heads,
            kv_heads,
            head_size,
            experts,
            width,
            vocabulary_size,
            tied,
        } = sizes;
        let mut model = Self {
            family: "smallthinker".to_owned(),
            hidden_size,
            layers,
            vocabulary_size,
            tied,
            matrices: Vec::new(),
            vectors: hidden_size + 2 * hidden_size * layers,
            cache: attention_cache(layers, heads, kv_heads, head_size),
            expanded_elements: 2 * kv_heads * head_size,
            state_bytes: 0,
            experts: Some(experts),
            // a router's scores, their order and sums, a product for each matrix, and the sum over experts, in place of four steps
            steps: (DENSE_STEPS + 6.0 + experts.used as f64) / DENSE_STEPS,
            ffn_width: width * experts.used,
            context_length: 32_768,
        };
        let Experts { count, active_channels, .. } = experts;
        let used = experts.used as f64;
        add_attention(&mut model, heads, kv_heads, head_size);
        model.add(count, hidden_size, 1, 1.0, true);
        model.add(width, hidden_size, count, used, false);
        model.add(width, hidden_size, count, used * active_channels, false);
        model.add(hidden_size, width, count, used * active_channels, false);
        model
    }

    fn expert_bytes(&self, tensor_type: TensorType) -> Option<ExpertBytes> {
        let experts = self.experts?;
        let Experts { count, routed_early, .. } = experts;
        let of_experts = self.matrices.iter().filter(|matrices| matrices.used < matrices.count as f64);
        // an expert comes from storage whole
        let whole = (experts.used * self.layers) as f64;
        let parts = of_experts.map(|m| part(tensor_type, m.rows, m.columns, m.count, whole));
        let (stored, used) =
            parts.fold((0.0, 0.0), |(stored, used), part| (stored + part.stored_bytes, used + part.bytes));
        Some(ExpertBytes { count, stored, used, routed_early })
    }
}

/// Sizes of a decoder with experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertSizes {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements per head.
    pub head_size: usize,
    /// Experts of each layer.
    pub experts: Experts,
    /// Channels of one expert.
    pub width: usize,
    /// Rows of the token embedding.
    pub vocabulary_size: usize,
    /// The output projection is the token embedding.
    pub tied: bool,
}

/// Operations of a dense decoder layer in llama.cpp's graph: norms with their factors, projections, rotations, writes to the cache, attention,
/// the feed-forward part, and two additions.
const DENSE_STEPS: f64 = 22.0;

fn part(asked: TensorType, rows: usize, columns: usize, count: usize, used: f64) -> Part {
    let given = fallback(asked, columns);
    // the fallback is legal for the row length by its construction
    let bytes = (rows * given.row_bytes(columns).unwrap_or(4 * columns)) as f64;
    Part {
        format: WeightFormat::from(given),
        weights: (rows * columns) as f64 * used,
        bytes: bytes * used,
        stored_bytes: bytes * count as f64,
    }
}

fn attention_cache(layers: usize, heads: usize, kv_heads: usize, head: usize) -> CacheGroup {
    CacheGroup { layers, elements: 2 * kv_heads * head, flops: (4 * heads * head) as f64, window: None }
}

fn add_attention(model: &mut Architecture, heads: usize, kv_heads: usize, head: usize) {
    let hidden = model.hidden_size;
    model.add(heads * head, hidden, 1, 1.0, false);
    model.add(kv_heads * head, hidden, 2, 2.0, false);
    model.add(hidden, heads * head, 1, 1.0, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn small_thinker_has_its_published_size_and_active_parameters() {
        let config = json!({
            "model_type": "smallthinker", "hidden_size": 1536, "num_hidden_layers": 32, "num_attention_heads": 12,
            "num_key_value_heads": 2, "head_dim": 128, "moe_num_primary_experts": 32,
            "moe_num_active_primary_experts": 4, "moe_ffn_hidden_size": 768, "vocab_size": 151_936,
        });
        let model = Architecture::from_config(&config).unwrap();
        let workload = model.workload(TensorType::Q4_0);
        assert_eq!(format!("{:.2}", workload.file_bytes / 1_073_741_824.0), "2.24");
        let active: f64 = workload.layers.iter().map(|part| part.weights).sum();
        assert!((0.6e9..0.65e9).contains(&active), "{active}");
    }

    #[test]
    fn latent_attention_caches_a_ninth() {
        let config = json!({
            "model_type": "plm", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 32,
            "num_attention_heads": 16, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
            "v_head_dim": 128, "q_lora_rank": null, "vocab_size": 151_936, "tie_word_embeddings": true,
        });
        let model = Architecture::from_config(&config).unwrap();
        assert_eq!(model.parameters(), 1_825_458_176);
        assert_eq!(model.cache_bytes_per_token(), (1152, 10_240));
    }

    #[test]
    fn a_hybrid_model_has_its_published_parameters_and_a_state_that_does_not_grow() {
        let model = Architecture::falcon_h1_half_billion().unwrap();
        assert_eq!(model.parameters(), 521_411_104);
        assert_eq!(model.state_bytes, 4 * (1536 * 128 + 1792 * 3));
    }

    #[test]
    fn a_missing_size_is_named() {
        let error = Architecture::from_config(&json!({"model_type": "plm"})).unwrap_err();
        assert_eq!(error.to_string(), "`num_attention_heads` is missing or no positive number");
    }
}
