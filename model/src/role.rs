//! What a tensor is, independent of how Hugging Face or GGUF name it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a tensor is for. Matrices are `[out_features, in_features]`, vectors `[features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// `[vocabulary, hidden]`
    TokenEmbedding,
    /// `[hidden]`: before the output projection
    OutputNorm,
    /// `[vocabulary, hidden]`: absent when tied
    Output,
    /// `[head / 2]`: divisors of the rotary frequencies, stored in GGUF only
    RopeFactors,
    /// `[hidden]`
    AttentionNorm,
    /// `[heads * head, hidden]`
    AttentionQuery,
    /// `[heads * head]`
    AttentionQueryBias,
    /// `[kv_heads * head, hidden]`
    AttentionKey,
    /// `[kv_heads * head]`
    AttentionKeyBias,
    /// `[kv_heads * head, hidden]`
    AttentionValue,
    /// `[kv_heads * head]`
    AttentionValueBias,
    /// `[hidden, heads * head]`
    AttentionOutput,
    /// `[hidden]`
    AttentionOutputBias,
    /// `[head]`
    AttentionQueryNorm,
    /// `[head]`
    AttentionKeyNorm,
    /// `[hidden]`: on the attention's output, before it joins the residual
    AttentionPostNorm,
    /// `[hidden]`
    FfnNorm,
    /// `[width, hidden]`
    FfnGate,
    /// `[width]`
    FfnGateBias,
    /// `[width, hidden]`
    FfnUp,
    /// `[width]`
    FfnUpBias,
    /// `[hidden, width]`
    FfnDown,
    /// `[hidden]`
    FfnDownBias,
    /// `[hidden]`: on the feed-forward's output, before it joins the residual
    FfnPostNorm,
}

impl fmt::Display for Role {
    /// As tables and plans name it, for example `ffn_down`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Role {
    /// True for the roles that every layer has of its own.
    pub fn is_in_layer(self) -> bool {
        !matches!(self, Self::TokenEmbedding | Self::OutputNorm | Self::Output | Self::RopeFactors)
    }

    /// True for the matrices that quantization may touch; norms and biases stay as they are.
    pub fn is_matrix(self) -> bool {
        matches!(
            self,
            Self::TokenEmbedding
                | Self::Output
                | Self::AttentionQuery
                | Self::AttentionKey
                | Self::AttentionValue
                | Self::AttentionOutput
                | Self::FfnGate
                | Self::FfnUp
                | Self::FfnDown
        )
    }

    /// True for RMS norm weights.
    pub fn is_norm(self) -> bool {
        matches!(
            self,
            Self::OutputNorm
                | Self::AttentionNorm
                | Self::AttentionQueryNorm
                | Self::AttentionKeyNorm
                | Self::AttentionPostNorm
                | Self::FfnNorm
                | Self::FfnPostNorm
        )
    }
}

/// Names one tensor of a model: its role, and its layer where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId {
    /// From 0; `None` for tensors outside the layers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layer: Option<usize>,
    /// What it is for.
    pub role: Role,
}

impl TensorId {
    /// A tensor of a layer.
    pub fn in_layer(layer: usize, role: Role) -> Self {
        Self { layer: Some(layer), role }
    }

    /// A tensor outside the layers.
    pub fn global(role: Role) -> Self {
        Self { layer: None, role }
    }
}
