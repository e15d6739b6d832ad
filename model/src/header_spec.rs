//! GGUF metadata to [`ModelSpec`] and back.

use std::collections::HashSet;

use crate::family::{FamilyTable, KeyRow, Written};
use crate::gguf::{Metadata, MetadataValue};
use crate::role::{Role, TensorId};
use crate::sizes::{
    FieldValue, KeySource, Particulars, SpecError, build_spec, field_value, is_assumed, recognise_llama3,
    unusual_windows,
};
use crate::spec::{LayerSpec, ModelSpec, RopeScaling};

const ARCHITECTURE_KEY: &str = "general.architecture";

/// What the tensors of a GGUF file tell about its model.
#[derive(Debug)]
pub struct TensorFacts<'a> {
    /// Every tensor's name.
    pub names: HashSet<&'a str>,
    /// Rows of the token embedding, if there is one.
    pub vocabulary_size: Option<usize>,
    /// The rotary divisors, `[head_size / 2]`, if the file has them.
    pub rope_factors: Option<Vec<f32>>,
}

/// Reads the spec from a header.
///
/// # Errors
/// If the architecture is not known, a size is missing or absurd, or the model does something that we cannot do.
pub fn spec_from_metadata(metadata: &Metadata, facts: &TensorFacts) -> Result<ModelSpec, SpecError> {
    let missing = || SpecError::MissingKey { key: ARCHITECTURE_KEY.to_owned() };
    let architecture = metadata.get(ARCHITECTURE_KEY).and_then(MetadataValue::as_str).ok_or_else(missing)?;
    let table = FamilyTable::for_gguf(architecture).ok_or_else(|| SpecError::UnknownArchitecture {
        found: architecture.to_owned(),
        known: FamilyTable::known_gguf_architectures(),
    })?;
    let source = HeaderKeys { metadata, table };
    let has = |id: TensorId| table.gguf_name(id).is_some_and(|name| facts.names.contains(name.as_str()));
    let in_first_layer = |role: Role| has(TensorId::in_layer(0, role));
    let particulars = Particulars {
        vocabulary_size: facts.vocabulary_size,
        tied_embeddings: !has(TensorId::global(Role::Output)),
        qkv_bias: in_first_layer(Role::AttentionQueryBias),
        output_bias: in_first_layer(Role::AttentionOutputBias),
        ffn_bias: in_first_layer(Role::FfnDownBias),
        rope_scaling: source.rope_scaling(facts)?,
        windowed_layers: source.windowed_layers()?,
        window_off: !table.habits.llama_cpp_uses_window,
    };
    let mut spec = build_spec(table, &source, &particulars)?;
    correct_gemma_27b(&mut spec);
    Ok(spec)
}

/// llama.cpp knows the one Gemma 3 whose attention scale is not that of its head size by its 62 layers.
fn correct_gemma_27b(spec: &mut ModelSpec) {
    if spec.family != crate::Family::Gemma3 || spec.layers.len() != 62 {
        return;
    }
    let hidden_size = spec.hidden_size;
    for layer in &mut spec.layers {
        if let crate::spec::Mixer::Attention(attention) = &mut layer.mixer {
            attention.scale = (attention.heads as f32 / hidden_size as f32).sqrt();
        }
    }
}

struct HeaderKeys<'a> {
    metadata: &'a Metadata,
    table: &'a FamilyTable,
}

impl HeaderKeys<'_> {
    fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.table.gguf_architecture)
    }

    fn value(&self, suffix: &str) -> Option<&MetadataValue> {
        (!suffix.is_empty()).then(|| self.metadata.get(&self.key(suffix)))?
    }

    fn bad(&self, suffix: &str, expected: &str, found: &MetadataValue) -> SpecError {
        SpecError::BadValue { key: self.key(suffix), expected: expected.to_owned(), found: found.type_name() }
    }

    fn rope_scaling(&self, facts: &TensorFacts) -> Result<RopeScaling, SpecError> {
        if let Some(factors) = &facts.rope_factors {
            let theta = self.value("rope.freq_base").and_then(MetadataValue::as_f32).unwrap_or(10_000.0);
            return Ok(
                recognise_llama3(factors, theta).unwrap_or_else(|| RopeScaling::Factors(factors.clone()))
            );
        }
        let kind = self.value("rope.scaling.type").and_then(MetadataValue::as_str).unwrap_or("none");
        match kind {
            "none" => Ok(RopeScaling::None),
            "linear" => match self.value("rope.scaling.factor").and_then(MetadataValue::as_f32) {
                Some(factor) => Ok(RopeScaling::Linear { factor }),
                None => Err(SpecError::MissingKey { key: self.key("rope.scaling.factor") }),
            },
            other => Err(SpecError::Unsupported {
                key: self.key("rope.scaling.type"),
                found: format!("`{other}`"),
            }),
        }
    }

    /// True for each layer that sees a window only: an array, or "every n-th layer sees everything".
    fn windowed_layers(&self) -> Result<Option<Vec<bool>>, SpecError> {
        const SUFFIX: &str = "attention.sliding_window_pattern";
        let Some(value) = self.value(SUFFIX) else { return Ok(None) };
        if let Some(flags) = value.as_bools() {
            return Ok(Some(flags.to_vec()));
        }
        let layers = self.value("block_count").and_then(MetadataValue::as_usize).unwrap_or(0);
        match value.as_usize() {
            Some(every) if every > 0 => {
                Ok(Some((1..=layers.min(4096)).map(|layer| layer % every != 0).collect()))
            }
            _ => Err(self.bad(SUFFIX, "an array of truth values or a count", value)),
        }
    }
}

impl KeySource for HeaderKeys<'_> {
    fn name(&self, row: &KeyRow) -> String {
        self.key(row.gguf)
    }

    fn integers(&self, row: &KeyRow) -> Result<Option<Vec<u64>>, SpecError> {
        let Some(value) = self.value(row.gguf) else { return Ok(None) };
        let integers = value.as_u64().map(|value| vec![value]).or_else(|| value.as_u64s());
        integers.map(Some).ok_or_else(|| self.bad(row.gguf, "whole numbers", value))
    }

    fn number(&self, row: &KeyRow) -> Result<Option<f64>, SpecError> {
        let Some(value) = self.value(row.gguf) else { return Ok(None) };
        let number = value.as_f32().map(f64::from).or_else(|| value.as_u64().map(|value| value as f64));
        number.map(Some).ok_or_else(|| self.bad(row.gguf, "a number", value))
    }
}

/// Writes the keys of a spec, `general.architecture` included, as llama.cpp's converter does.
pub fn write_spec(spec: &ModelSpec, metadata: &mut Metadata) {
    let table = spec.family.table();
    let prefix = table.gguf_architecture;
    metadata.set(ARCHITECTURE_KEY, prefix.to_owned());
    for row in table.keys {
        let written = match row.written {
            Written::Always => true,
            Written::IfNeeded => !is_assumed(spec, row.field),
            Written::Never => false,
        };
        let Some(value) = field_value(spec, row.field).filter(|_| written) else { continue };
        let key = format!("{prefix}.{}", row.gguf);
        match value {
            FieldValue::Size(size) => metadata.set(key, size as u32),
            FieldValue::Number(number) => metadata.set(key, number),
            FieldValue::PerLayer(sizes) => {
                metadata.set(key, sizes.into_iter().map(|size| size as u32).collect::<Vec<_>>());
            }
        }
    }
    let scaling =
        spec.layers.iter().filter_map(LayerSpec::attention).map(|attention| &attention.rope.scaling);
    if let Some(RopeScaling::Linear { factor }) =
        scaling.into_iter().find(|scaling| **scaling != RopeScaling::None)
    {
        metadata.set(format!("{prefix}.rope.scaling.type"), "linear".to_owned());
        metadata.set(format!("{prefix}.rope.scaling.factor"), *factor);
    }
    if let Some(windowed) = unusual_windows(spec).filter(|_| table.habits.llama_cpp_uses_window) {
        metadata.set(format!("{prefix}.attention.sliding_window_pattern"), windowed);
    }
}

/// What a GGUF file of this model leaves out, so that stock llama.cpp computes something else; `None` if nothing.
pub fn lost_in_gguf(spec: &ModelSpec) -> Option<String> {
    let table = spec.family.table();
    let attention = spec.layers.iter().find_map(LayerSpec::attention)?;
    if let Some(window) = attention.window.filter(|_| !table.habits.llama_cpp_uses_window) {
        return Some(format!(
            "llama.cpp attends to everything where this model sees a window of {window} tokens"
        ));
    }
    let usual = 1.0 / (attention.head_size as f32).sqrt();
    let known_to_llama_cpp = spec.layers.len() == 62 && spec.family == crate::Family::Gemma3;
    if (attention.scale / usual - 1.0).abs() > 1e-5 && !known_to_llama_cpp {
        return Some(format!("llama.cpp scales attention by {usual}, this model by {}", attention.scale));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::config::spec_from_config;
    use serde_json::json;

    fn facts(tied: bool) -> TensorFacts<'static> {
        let names = if tied { HashSet::new() } else { HashSet::from(["output.weight"]) };
        TensorFacts { names, vocabulary_size: Some(256), rope_factors: None }
    }

    #[test]
    fn a_spec_survives_the_way_through_a_header() {
        let config = json!({
            "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 7,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 256,
            "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "sliding_window": 8,
            "query_pre_attn_scalar": 32, "rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0,
        });
        let spec = spec_from_config(&config).unwrap();
        let windows: Vec<_> = spec.layers.iter().map(|layer| layer.attention().unwrap().window).collect();
        assert_eq!(windows, [Some(8), Some(8), Some(8), Some(8), Some(8), None, Some(8)]);
        let mut metadata = Metadata::new();
        write_spec(&spec, &mut metadata);
        assert_eq!(spec_from_metadata(&metadata, &facts(true)).unwrap(), spec);
    }

    #[test]
    fn heads_that_do_not_share_evenly_are_refused() {
        let config = json!({
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 3, "vocab_size": 256,
        });
        let error = spec_from_config(&config).unwrap_err().to_string();
        assert_eq!(error, "`num_key_value_heads` is 3, expected a divisor of the 4 query heads");
    }

    #[test]
    fn an_unknown_family_names_the_known_ones() {
        let error = spec_from_config(&json!({"model_type": "mamba"})).unwrap_err().to_string();
        assert!(error.contains("`mamba`") && error.contains("llama, mistral, qwen2"), "{error}");
    }

    #[test]
    fn llama3_divisors_are_recognised() {
        let rope = crate::spec::RopeSpec {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 32.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 8192,
            },
        };
        let factors = crate::sizes::rope_factors(&rope, 64).unwrap();
        assert_eq!(recognise_llama3(&factors, 500_000.0), Some(rope.scaling));
        assert_eq!(recognise_llama3(&[1.0, 2.0, 3.0, 4.0], 10_000.0), None);
    }
}
