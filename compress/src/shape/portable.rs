//! Which shapes stock runtimes load.

use secateur_model::family::FamilyTable;
use secateur_model::{Family, ModelSpec};

use super::ShapeRequestError;

/// That the layers of such a model cannot differ.
pub(super) fn uneven_refused(spec: &ModelSpec) -> ShapeRequestError {
    let architecture = spec.family.table().gguf_architecture;
    let without = ModelSpec { tied_embeddings: true, ..spec.clone() }.uneven_family();
    let output = without.map_or("", |_| " with an output matrix of its own");
    let reason =
        format!("llama.cpp has no architecture for a {architecture}{output} whose layers differ in size");
    ShapeRequestError::NotPortable { reason }
}

/// That the width of such a family cannot change.
pub(super) fn scaled_refused(table: &FamilyTable) -> ShapeRequestError {
    let architecture = table.gguf_architecture;
    let reason = format!("runtimes multiply the embedding of {architecture} by the square root of its width");
    ShapeRequestError::NotPortable { reason }
}

/// Checks that llama.cpp loads a model of this shape: most families take the sizes of all layers from the first one, and Qwen 2's query
/// projection to be square. Layers of some may differ under another name ([`uneven_family`](ModelSpec::uneven_family)).
///
/// # Errors
/// If they do not.
pub fn check_portable(spec: &ModelSpec) -> Result<(), ShapeRequestError> {
    let refuse = |reason: String| Err(ShapeRequestError::NotPortable { reason });
    if spec.uneven_layer().is_some() && spec.uneven_family().is_none() {
        return Err(uneven_refused(spec));
    }
    if let (Family::Qwen2, Some(attention)) = (spec.family, spec.layers[0].attention())
        && attention.heads * attention.head_size != spec.hidden_size
    {
        let (heads, head_size, hidden_size) = (attention.heads, attention.head_size, spec.hidden_size);
        return refuse(format!("{heads} heads of {head_size} do not fill qwen2's width of {hidden_size}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secateur_model::spec::FeedForward;
    use secateur_model::stored::FileBytes;
    use secateur_model::{Checkpoint, demo};

    use super::*;

    #[test]
    fn layers_of_qwen_3_differ_only_where_the_embedding_is_the_output_matrix() {
        let mut spec = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap().spec;
        spec.family = Family::Qwen3;
        if let FeedForward::Gated(gated) = &mut spec.layers[1].feed_forward {
            gated.width -= 32;
        }
        assert!(check_portable(&spec).is_ok());
        spec.tied_embeddings = false;
        let refused = check_portable(&spec).unwrap_err().to_string();
        assert!(refused.contains("qwen3 with an output matrix of its own"), "{refused}");
        spec.family = Family::Gemma3;
        assert!(check_portable(&spec).unwrap_err().to_string().contains("a gemma3 whose layers differ"));
    }
}
