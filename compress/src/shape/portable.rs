//! Which shapes stock runtimes load.

use secateur_model::{Family, ModelSpec};

use super::ShapeRequestError;

/// Checks that llama.cpp loads a model of this shape: most families take the sizes of all layers from the first one, and Qwen 2's query
/// projection to be square. Llama's layers may differ under another name ([`uneven`](secateur_model::family::FamilyTable::uneven)).
///
/// # Errors
/// If they do not.
pub fn check_portable(spec: &ModelSpec) -> Result<(), ShapeRequestError> {
    let refuse = |reason: String| Err(ShapeRequestError::NotPortable { reason });
    let table = spec.family.table();
    if let Some(layer) = spec.uneven_layer()
        && table.uneven.is_none()
    {
        return refuse(format!(
            "layer {layer} has other sizes than the first, and llama.cpp has no architecture for such a {}",
            table.gguf_architecture
        ));
    }
    if let (Family::Qwen2, Some(attention)) = (spec.family, spec.layers[0].attention())
        && attention.heads * attention.head_size != spec.hidden_size
    {
        let (heads, head_size, hidden_size) = (attention.heads, attention.head_size, spec.hidden_size);
        return refuse(format!("{heads} heads of {head_size} do not fill qwen2's width of {hidden_size}"));
    }
    Ok(())
}
