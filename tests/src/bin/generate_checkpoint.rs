//! Makes a large Hugging Face folder of random weights, to see how much memory commands take.
//!
//! `cargo run --release -p secateur-tests --bin generate-checkpoint -- --gigabytes 4 --out DIR`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use half::f16;
use secateur_model::hf::HfWeightsLayout;
use secateur_model::hf::config::spec_from_config;
use secateur_model::stored::NewTensor;
use secateur_model::{ModelSpec, TensorType};
use secateur_tests::random::Random;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match arguments().and_then(|(gigabytes, out)| generate(gigabytes, &out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            #[allow(clippy::print_stderr)] // a developer's command
            {
                eprintln!("generate-checkpoint: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<(f64, PathBuf), Failure> {
    let (mut gigabytes, mut out) = (4.0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--gigabytes" => gigabytes = arguments.next().ok_or("--gigabytes needs a number")?.parse()?,
            "--out" => out = arguments.next().map(PathBuf::from),
            other => return Err(format!("`{other}` is not understood").into()),
        }
    }
    Ok((gigabytes, out.ok_or("--out DIR is missing")?))
}

/// As many layers as reach the size.
fn config(gigabytes: f64) -> Result<(Value, ModelSpec), Failure> {
    let mut config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "intermediate_size": 5632,
        "num_hidden_layers": 1, "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32_000,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "tie_word_embeddings": true,
    });
    loop {
        let spec = spec_from_config(&config)?;
        if spec.parameter_count() as f64 * 2.0 >= gigabytes * 1e9 {
            return Ok((config, spec));
        }
        config["num_hidden_layers"] = json!(spec.layers.len() + 1);
    }
}

fn generate(gigabytes: f64, out: &Path) -> Result<(), Failure> {
    let (config, spec) = config(gigabytes)?;
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
    Ok(())
}
