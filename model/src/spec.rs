//! A model's architecture as data, the same whether it came from a Hugging Face config or a GGUF header.
//!
//! Enums are `non_exhaustive`: experts, state-space and hybrid mixers, latent attention and encoders are
//! new variants here, not new types elsewhere.

use serde::{Deserialize, Serialize};

/// The families we know; each has one table in [`crate::family`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Gemma3,
    /// Llama's layers in sizes of their own.
    Deci,
    /// Qwen 3's layers in sizes of their own.
    OpenElm,
}

/// A decoder as data. Sizes count elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Which table of names and habits applies.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Rows of the token embedding.
    pub vocabulary_size: usize,
    /// Longest context that the model was trained for, in tokens.
    pub context_length: usize,
    /// Epsilon of every RMS norm.
    pub norm_epsilon: f32,
    /// The output projection is the token embedding.
    pub tied_embeddings: bool,
    /// What the embedded tokens are multiplied by (Gemma: the square root of the hidden size; else 1).
    pub embedding_scale: f32,
    /// `cap * tanh(logits / cap)` on the output logits, where the config has it.
    pub final_logit_softcap: Option<f32>,
    /// From the first to the last.
    pub layers: Vec<LayerSpec>,
}

/// One decoder layer: a sequence mixer, then a feed-forward part, each with its residual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// What moves information between positions.
    pub mixer: Mixer,
    /// What works on each position alone.
    pub feed_forward: FeedForward,
    /// The outputs of mixer and feed-forward pass a norm of their own before they join the residual (Gemma).
    pub post_norms: bool,
}

/// What moves information between positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mixer {
    /// Softmax attention, full or windowed, grouped or not.
    Attention(AttentionSpec),
    /// Removed: the residual passes unchanged.
    None,
}

/// Softmax attention of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionSpec {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of one query, key or value head.
    pub head_size: usize,
    /// Query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The output projection has a bias.
    pub output_bias: bool,
    /// Queries and keys pass an RMS norm per head.
    pub query_key_norm: bool,
    /// What the dot products are multiplied by, before the softmax.
    pub scale: f32,
    /// `cap * tanh(scores / cap)` before the softmax, where the config has it.
    pub logit_softcap: Option<f32>,
    /// Positions that a token sees, itself included; `None` sees all.
    pub window: Option<usize>,
    /// Rotary position embedding.
    pub rope: RopeSpec,
}

/// Rotary position embedding over the whole head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeSpec {
    /// Base of the frequencies.
    pub theta: f32,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Llama 3: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of the low frequencies.
        factor: f32,
        /// Wavelengths above `original_context / low_frequency_factor` are divided.
        low_frequency_factor: f32,
        /// Wavelengths below `original_context / high_frequency_factor` are kept.
        high_frequency_factor: f32,
        /// Context before stretching, in tokens.
        original_context: usize,
    },
    /// Divisors per frequency as stored in a file, `[head_size / 2]`; how they were made is not known.
    Factors(Vec<f32>),
}

/// What works on each position alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedForward {
    /// `down(activation(gate(x)) * up(x))`.
    Gated(GatedSpec),
    /// Removed: the residual passes unchanged.
    None,
}

/// A dense gated feed-forward part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatedSpec {
    /// Channels between `gate`/`up` and `down`.
    pub width: usize,
    /// Applied to the gate.
    pub activation: Activation,
    /// The three projections have biases.
    pub bias: bool,
}

/// The nonlinearity of a gated feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in its tanh form.
    GeluTanh,
}

impl ModelSpec {
    /// True if a GGUF file of this model carries a tensor of rotary divisors.
    pub fn has_rope_factors(&self) -> bool {
        self.layers.iter().filter_map(LayerSpec::attention).any(|attention| {
            matches!(attention.rope.scaling, RopeScaling::Llama3 { .. } | RopeScaling::Factors(_))
        })
    }
}

impl LayerSpec {
    /// The attention of this layer, if it has any.
    pub fn attention(&self) -> Option<&AttentionSpec> {
        match &self.mixer {
            Mixer::Attention(attention) => Some(attention),
            Mixer::None => None,
        }
    }

    /// The gated feed-forward part of this layer, if it has any.
    pub fn gated(&self) -> Option<&GatedSpec> {
        match &self.feed_forward {
            FeedForward::Gated(gated) => Some(gated),
            FeedForward::None => None,
        }
    }
}
