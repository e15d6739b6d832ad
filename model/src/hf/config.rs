//! `config.json` to [`ModelSpec`] and back.

use serde_json::{Map, Value, json};

use crate::family::{BiasRule, FamilyTable, Field, KeyRow};
use crate::sizes::{
    FieldValue, KeySource, Particulars, SpecError, build_spec, field_value, recognise_llama3, unusual_windows,
};
use crate::spec::{LayerSpec, ModelSpec, RopeScaling};
use crate::tensor_type::TensorType;

/// Reads a parsed `config.json`.
///
/// # Errors
/// If the family is not known, a size is missing or absurd, or the model does something that we cannot do.
pub fn spec_from_config(config: &Value) -> Result<ModelSpec, SpecError> {
    let model_type = config.get("model_type").and_then(Value::as_str);
    let model_type = model_type.ok_or_else(|| SpecError::MissingKey { key: "model_type".into() })?;
    let table = FamilyTable::for_model_type(model_type).ok_or_else(|| SpecError::UnknownArchitecture {
        found: model_type.to_owned(),
        known: FamilyTable::known_model_types(),
    })?;
    check_activation(config, table)?;
    let bias = |rule: BiasRule| match rule {
        BiasRule::Never => false,
        BiasRule::Always => true,
        BiasRule::Config(key) => config.get(key).and_then(Value::as_bool).unwrap_or(false),
    };
    let tied = config.get("tie_word_embeddings").and_then(Value::as_bool);
    let particulars = Particulars {
        vocabulary_size: None,
        tied_embeddings: tied.unwrap_or(table.habits.tied_by_default),
        qkv_bias: bias(table.habits.qkv_bias),
        output_bias: bias(table.habits.output_bias),
        ffn_bias: bias(table.habits.ffn_bias),
        rope_scaling: rope_scaling(config)?,
        windowed_layers: windowed_layers(config)?,
        window_off: config.get("use_sliding_window").and_then(Value::as_bool) == Some(false),
    };
    build_spec(table, &ConfigKeys(config), &particulars)
}

fn check_activation(config: &Value, table: &FamilyTable) -> Result<(), SpecError> {
    let (key, word) = table.habits.activation_key;
    match config.get(key).and_then(Value::as_str) {
        Some(found) if found != word => {
            Err(SpecError::Unsupported { key: key.to_owned(), found: format!("`{found}`") })
        }
        _ => Ok(()),
    }
}

/// The rope settings of the layers that see everything: under `rope_parameters` since transformers 5
/// (one per kind of layer in Gemma 3), under `rope_scaling` before.
fn rope_settings(config: &Value) -> Option<&Value> {
    let parameters = config.get("rope_parameters").filter(|value| value.is_object());
    match parameters {
        Some(parameters) => Some(parameters.get("full_attention").unwrap_or(parameters)),
        None => config.get("rope_scaling").filter(|value| value.is_object()),
    }
}

fn rope_scaling(config: &Value) -> Result<RopeScaling, SpecError> {
    let Some(settings) = rope_settings(config) else { return Ok(RopeScaling::None) };
    let kind = settings.get("rope_type").or_else(|| settings.get("type")).and_then(Value::as_str);
    let number = |key: &str| {
        settings
            .get(key)
            .and_then(Value::as_f64)
            .map(|value| value as f32)
            .ok_or_else(|| SpecError::MissingKey { key: format!("rope_scaling.{key}") })
    };
    match kind.unwrap_or("default") {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_frequency_factor: number("low_freq_factor")?,
            high_frequency_factor: number("high_freq_factor")?,
            original_context: number("original_max_position_embeddings")? as usize,
        }),
        other => {
            Err(SpecError::Unsupported { key: "rope_scaling.rope_type".into(), found: format!("`{other}`") })
        }
    }
}

fn windowed_layers(config: &Value) -> Result<Option<Vec<bool>>, SpecError> {
    if let Some(kinds) = config.get("layer_types").and_then(Value::as_array) {
        let windowed = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(SpecError::Unsupported { key: "layer_types".into(), found: kind.to_string() }),
        };
        return kinds.iter().map(windowed).collect::<Result<_, _>>().map(Some);
    }
    let every = config.get("sliding_window_pattern").or_else(|| config.get("_sliding_window_pattern"));
    let layers = config.get("num_hidden_layers").and_then(Value::as_u64);
    match (every.and_then(Value::as_u64), layers) {
        (Some(every), Some(layers)) if every > 0 => {
            Ok(Some((1..=layers.min(4096)).map(|layer| layer % every != 0).collect()))
        }
        _ => Ok(None),
    }
}

struct ConfigKeys<'a>(&'a Value);

impl ConfigKeys<'_> {
    fn value(&self, row: &KeyRow) -> Option<&Value> {
        let nested = match row.field {
            Field::RopeTheta => rope_settings(self.0).and_then(|settings| settings.get("rope_theta")),
            Field::LocalRopeTheta => self.0.pointer("/rope_parameters/sliding_attention/rope_theta"),
            _ => None,
        };
        nested.or_else(|| self.0.get(row.hf)).filter(|value| !value.is_null())
    }

    fn bad(row: &KeyRow, expected: &str, found: &Value) -> SpecError {
        SpecError::BadValue {
            key: row.hf.to_owned(),
            expected: expected.to_owned(),
            found: found.to_string(),
        }
    }
}

impl KeySource for ConfigKeys<'_> {
    fn name(&self, row: &KeyRow) -> String {
        row.hf.to_owned()
    }

    fn integers(&self, row: &KeyRow) -> Result<Option<Vec<u64>>, SpecError> {
        let Some(value) = self.value(row) else { return Ok(None) };
        let integer = |value: &Value| value.as_u64().ok_or_else(|| Self::bad(row, "a whole number", value));
        match value {
            Value::Array(values) => values.iter().map(integer).collect::<Result<_, _>>().map(Some),
            value => integer(value).map(|value| Some(vec![value])),
        }
    }

    fn number(&self, row: &KeyRow) -> Result<Option<f64>, SpecError> {
        let Some(value) = self.value(row) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| Self::bad(row, "a number", value))
    }
}

/// Writes `config.json` for a spec, keeping what an earlier config says of things that the spec does not know
/// (token ids, initializer range …).
///
/// # Errors
/// If the spec has something that Hugging Face has no key for, for example sizes that differ between layers.
pub fn config_from_spec(
    spec: &ModelSpec,
    stored_as: TensorType,
    earlier: Option<&Value>,
) -> Result<Value, SpecError> {
    let table = spec.family.table();
    if table.model_types.is_empty() {
        return Err(SpecError::Unsupported {
            key: "model_type".into(),
            found: "layers of sizes of their own, which transformers does not build".into(),
        });
    }
    let mut config = earlier.and_then(Value::as_object).cloned().unwrap_or_default();
    let unchanged = |field: Field| {
        earlier
            .and_then(|earlier| spec_from_config(earlier).ok())
            .is_some_and(|earlier| field_value(&earlier, field) == field_value(spec, field))
    };
    config.entry("architectures").or_insert_with(|| json!([table.hf_architecture]));
    config.entry("model_type").or_insert_with(|| json!(table.model_types[0]));
    for row in table.keys {
        if unchanged(row.field) {
            continue;
        }
        match field_value(spec, row.field) {
            Some(FieldValue::Size(size)) => drop(config.insert(row.hf.to_owned(), json!(size))),
            Some(FieldValue::Number(number)) => drop(config.insert(row.hf.to_owned(), shortest(number))),
            Some(FieldValue::PerLayer(_)) => {
                return Err(SpecError::Unsupported {
                    key: row.hf.to_owned(),
                    found: "sizes that differ between layers".into(),
                });
            }
            None => {}
        }
    }
    let (key, word) = table.habits.activation_key;
    config.entry(key).or_insert_with(|| json!(word));
    config.insert("tie_word_embeddings".into(), json!(spec.tied_embeddings));
    config.insert("torch_dtype".into(), json!(torch_name(stored_as)));
    config.remove("dtype");
    write_rope(spec, &mut config, earlier)?;
    write_biases(spec, &mut config);
    if let Some(windowed) = unusual_windows(spec).or_else(|| gemma_windows(spec)) {
        let kind = |&windowed: &bool| if windowed { "sliding_attention" } else { "full_attention" };
        config.insert("layer_types".into(), windowed.iter().map(kind).collect());
    }
    Ok(Value::Object(config))
}

/// Families that alternate say so for every layer; older readers take the habit from `sliding_window_pattern`.
fn gemma_windows(spec: &ModelSpec) -> Option<Vec<bool>> {
    (spec.family.table().habits.global_every != 0).then(|| {
        let windowed =
            |layer: &LayerSpec| layer.attention().is_some_and(|attention| attention.window.is_some());
        spec.layers.iter().map(windowed).collect()
    })
}

fn write_biases(spec: &ModelSpec, config: &mut Map<String, Value>) {
    let habits = &spec.family.table().habits;
    let layer = spec.layers.first();
    if let BiasRule::Config(key) = habits.qkv_bias {
        let biased = layer.and_then(LayerSpec::attention).is_some_and(|attention| attention.qkv_bias);
        config.insert(key.to_owned(), json!(biased));
    }
    if let BiasRule::Config(key) = habits.ffn_bias {
        config
            .insert(key.to_owned(), json!(layer.and_then(LayerSpec::gated).is_some_and(|gated| gated.bias)));
    }
}

fn write_rope(
    spec: &ModelSpec,
    config: &mut Map<String, Value>,
    earlier: Option<&Value>,
) -> Result<(), SpecError> {
    let global = spec
        .layers
        .iter()
        .filter_map(LayerSpec::attention)
        .find(|attention| spec.family.table().habits.global_every == 0 || attention.window.is_none());
    let Some(rope) = global.map(|attention| &attention.rope) else { return Ok(()) };
    if earlier.is_some() {
        return Ok(()); // no change touches the rotation: what the earlier config says still holds
    }
    let scaling = match &rope.scaling {
        RopeScaling::Factors(factors) => {
            recognise_llama3(factors, rope.theta).ok_or_else(|| SpecError::Unsupported {
                key: "rope_scaling".into(),
                found: "rotary divisors that match no known Llama 3 setting".into(),
            })?
        }
        other => other.clone(),
    };
    let value = match scaling {
        RopeScaling::None | RopeScaling::Factors(_) => return Ok(()),
        RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": shortest(factor)}),
        RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => {
            json!({
                "rope_type": "llama3",
                "factor": shortest(factor),
                "low_freq_factor": shortest(low_frequency_factor),
                "high_freq_factor": shortest(high_frequency_factor),
                "original_max_position_embeddings": original_context,
            })
        }
    };
    config.insert("rope_scaling".into(), value);
    Ok(())
}

/// The shortest decimal that means this `f32`: `1e-5`, not `9.999999747378752e-6`.
fn shortest(number: f32) -> Value {
    json!(number.to_string().parse::<f64>().unwrap_or(f64::from(number)))
}

fn torch_name(tensor_type: TensorType) -> &'static str {
    match tensor_type {
        TensorType::F16 => "float16",
        TensorType::BF16 => "bfloat16",
        _ => "float32",
    }
}
