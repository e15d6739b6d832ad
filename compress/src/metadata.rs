//! The metadata of the GGUF that we write: what llama.cpp's converter would write for the model, and where it comes from.

use secateur_model::gguf::Metadata;
use secateur_model::header_spec::write_spec;
use secateur_model::plan::Plan;
use secateur_model::shape::ShapePlan;
use secateur_model::{Checkpoint, ModelSpec, Rounding};

/// `general.quantization_version`: the only one that llama.cpp knows.
const QUANTIZATION_VERSION: u32 = 2;

/// Every key of model.gguf.
pub(crate) fn artifact_metadata(checkpoint: &Checkpoint, plan: &Plan) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", plan.architecture.clone());
    for (key, value) in checkpoint.general.iter() {
        metadata.set(key, value.clone());
    }
    if metadata.get("general.base_model.count").is_none() {
        metadata.set("general.base_model.count", 1_u32);
        metadata.set("general.base_model.0.name", checkpoint.name());
    }
    write_spec(&checkpoint.spec, &mut metadata);
    if let Some(tokenizer) = &checkpoint.tokenizer {
        for (key, value) in tokenizer.to_gguf_metadata() {
            metadata.set(key, value);
        }
    } else {
        // llama.cpp loads a model without a tokenizer if it says so, and how many tokens there are
        metadata.set("tokenizer.ggml.model", "none".to_owned());
        let vocabulary_size = checkpoint.spec.vocabulary_size as u32;
        metadata.set(format!("{}.vocab_size", plan.architecture), vocabulary_size);
    }
    metadata.set("general.file_type", plan.file_type);
    metadata.set("general.quantization_version", QUANTIZATION_VERSION);
    metadata.set("secateur.version", env!("CARGO_PKG_VERSION").to_owned());
    metadata.set("secateur.plan.asked", plan.asked.clone());
    if let Some(vocabulary) = &plan.vocabulary {
        let (kept, of) = (vocabulary.kept.indices().len(), vocabulary.of);
        metadata.set("secateur.plan.vocabulary", format!("{kept} of {of} tokens"));
    }
    if let Some(shape) = &plan.shape {
        metadata.set("secateur.plan.shape", shape_in_words(shape, &checkpoint.spec));
    }
    if plan.rounding != Rounding::Rtn {
        metadata.set("secateur.plan.rounding", plan.rounding.name().to_owned());
    }
    if let Some(calibration) = &plan.calibration {
        metadata.set("secateur.plan.calibration", calibration.clone());
    }
    let fallbacks: Vec<String> = plan
        .fallbacks()
        .filter_map(|tensor| {
            tensor.instead_of.map(|asked| format!("{}: {} instead of {asked}", tensor.name, tensor.to))
        })
        .collect();
    if !fallbacks.is_empty() {
        metadata.set("secateur.plan.fallbacks", fallbacks);
    }
    metadata
}

/// Layers, and the sizes of the first one, where they are smaller than they were.
fn shape_in_words(shape: &ShapePlan, spec: &ModelSpec) -> String {
    let mut words = vec![format!("{} of {} layers", shape.layers.len(), shape.of)];
    if let (Some(first), Some(layer)) = (shape.layers.first(), spec.layers.first()) {
        if let Some(attention) = layer.attention().filter(|_| first.kv_heads.is_some()) {
            words.push(format!("{} heads", attention.heads));
        }
        if let Some(gated) = layer.gated().filter(|_| first.ffn.is_some()) {
            words.push(format!("{} channels", gated.width));
        }
    }
    words.push(format!("repair {}", shape.repair));
    words.join(", ")
}
