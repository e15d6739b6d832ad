//! What can go wrong while a text passes a model.

use secateur_model::{CacheType, ModelError};

/// Why a text does not get through a model.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum ForwardError {
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device has no memory left, or its driver refuses.
    #[error("a matrix product failed: {0}")]
    Product(#[from] candle_core::Error),
    #[error("token {token} is outside the vocabulary of {vocabulary_size}")]
    UnknownToken { token: u32, vocabulary_size: usize },
    #[error("layer {layer} has a {part} that the forward pass does not know")]
    Unsupported { layer: usize, part: &'static str },
    #[error(
        "layer {layer} turns text {text} into numbers that are not finite; its weights are damaged, or it needs more range than f32"
    )]
    NotFinite { layer: usize, text: usize },
    #[error("the logits after token {token} are not finite; the output norm or the output matrix is damaged")]
    LogitsNotFinite { token: usize },
    #[error(
        "the gradients of text {text} before layer {layer} are not finite; the layer's weights are damaged, or they need more range than f32"
    )]
    GradientNotFinite { layer: usize, text: usize },
    #[error(
        "heads of layer {layer} have {head_size} numbers, which fill no blocks of {}: its keys and values cannot be cached as {cache}; use f16",
        cache.tensor_type().block_len()
    )]
    Cache { layer: usize, head_size: usize, cache: CacheType },
    #[error("what texts have between two layers cannot be kept in a temporary file of the cache")]
    TokenRows(#[source] std::io::Error),
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    #[error("interrupted")]
    Interrupted,
}
