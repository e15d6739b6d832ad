//! Which shapes stock runtimes load.

use secateur_model::{Family, ModelSpec};

use super::ShapeRequestError;

/// Checks that llama.cpp and transformers load a model of this shape under the family's own name: they take the sizes of all layers from
/// the first one, and Qwen 2's query projection to be square.
///
/// # Errors
/// If they do not.
pub fn check_portable(spec: &ModelSpec) -> Result<(), ShapeRequestError> {
    let refuse = |reason: String| Err(ShapeRequestError::NotPortable { reason });
    let sizes = |layer: usize| {
        let attention = spec.layers[layer].attention().map(|attention| (attention.heads, attention.kv_heads));
        (attention, spec.layers[layer].gated().map(|gated| gated.width))
    };
    if let Some(layer) = (1..spec.layers.len()).find(|&layer| sizes(layer) != sizes(0)) {
        return refuse(format!("layer {layer} has other sizes than the first"));
    }
    if let (Family::Qwen2, Some(attention)) = (spec.family, spec.layers[0].attention())
        && attention.heads * attention.head_size != spec.hidden_size
    {
        let (heads, head_size, hidden_size) = (attention.heads, attention.head_size, spec.hidden_size);
        return refuse(format!("{heads} heads of {head_size} do not fill qwen2's width of {hidden_size}"));
    }
    Ok(())
}
