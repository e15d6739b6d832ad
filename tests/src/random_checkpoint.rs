//! Models of random weights, of any size.

use std::error::Error;
use std::path::Path;

use half::f16;
use secateur_model::hf::HfWeightsLayout;
use secateur_model::hf::config::spec_from_config;
use secateur_model::stored::NewTensor;
use secateur_model::{ModelSpec, TensorType};
use serde_json::{Value, json};

use crate::random::Random;

/// The config.json of a model with llama's layers; `heads` are those of queries, and of keys and values.
#[must_use]
pub fn llama_config(hidden: usize, channels: usize, heads: [usize; 2], layers: usize) -> Value {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": channels,
        "num_hidden_layers": layers, "num_attention_heads": heads[0], "num_key_value_heads": heads[1], "vocab_size": 32_000,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "tie_word_embeddings": true,
    })
}

/// Writes a Hugging Face folder without a tokenizer.
///
/// # Errors
/// If this is no config of a model, or the disk refuses.
pub fn write(config: &Value, out: &Path) -> Result<ModelSpec, Box<dyn Error>> {
    let spec = spec_from_config(config)?;
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("config.json"), config.to_string())?;
    let table = spec.family.table();
    let tensors: Vec<NewTensor> = spec
        .tensor_ids()
        .into_iter()
        .filter_map(|id| {
            let (name, shape) = (table.hf_name(id)?, spec.shape(id)?);
            Some(NewTensor { name, shape, tensor_type: TensorType::F16 })
        })
        .collect();
    let mut writer = HfWeightsLayout::new(&tensors, 1_000_000_000)?.start(out)?;
    let mut random = Random::new(0);
    // random numbers cost more than writing them: one piece, written again and again from another place
    let piece: Vec<u8> =
        (0..1 << 20).flat_map(|_| f16::from_f32(random.gaussian() * 0.02).to_le_bytes()).collect();
    for tensor in &tensors {
        writer.begin(&tensor.name)?;
        let mut left = tensor.shape.iter().product::<usize>() * 2;
        while left > 0 {
            let start = (random.bits() as usize % (piece.len() / 4)) * 2;
            let take = left.min(piece.len() - start);
            writer.write_all(&piece[start..start + take])?;
            left -= take;
        }
    }
    writer.finish()?;
    Ok(spec)
}
