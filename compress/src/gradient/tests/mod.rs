//! The backward pass against PyTorch, against differences of losses, and against the divergence that it predicts.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

mod autograd;
mod differences;
mod meaning;
mod repeatable;

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use secateur_model::Checkpoint;

use crate::forward::{Forward, Hidden, NoTaps, Residency};
use crate::progress::Silent;

const MODELS: [&str; 6] = ["llama", "llama-tied-rope-scaled", "mistral-window", "qwen2", "qwen3", "gemma3"];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint::open(&golden_folder().join("models").join(name)).unwrap()
}

fn ids(tensors: &SafeTensors, name: &str) -> Vec<u32> {
    let tensor = tensors.tensor(name).unwrap();
    tensor.data().as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as u32).collect()
}

fn numbers(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = tensors.tensor(name).unwrap();
    tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The first 300 tokens of a model's long golden text, and a text of 24.
fn texts(name: &str) -> Vec<Vec<u32>> {
    let bytes = std::fs::read(golden_folder().join("models").join(name).join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    vec![ids(&tensors, "long_ids")[..300].to_vec(), ids(&tensors, "input_ids")[..24].to_vec()]
}

/// `log p` after every token of a text that begins with these hidden states, `[tokens, vocabulary]`.
fn log_probabilities(checkpoint: &Checkpoint, hidden: Hidden) -> Vec<Vec<f64>> {
    let forward = Forward::new(checkpoint, Residency::Stream).unwrap();
    let mut hidden = [hidden];
    forward.run_layers(&mut hidden, &mut NoTaps, &Silent).unwrap();
    let mut rows = Vec::new();
    let vocabulary_size = checkpoint.spec.vocabulary_size;
    let normalise = |logits: &[f32]| {
        let total = logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
        logits.iter().map(|&logit| f64::from(logit) - total).collect()
    };
    let tokens = hidden[0].tokens();
    let collect = |_: usize, logits: &[f32]| rows.extend(logits.chunks(vocabulary_size).map(normalise));
    forward.for_each_logits(&hidden[0], 0..tokens, 128, collect).unwrap();
    rows
}

/// Numbers of mean zero and variance one that repeat late: a sum of four uniform ones.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let uniform = |index: u64| {
        let mixed = (index ^ seed.rotate_left(32)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count as u64)
        .map(|index| (0..4).map(|part| uniform(4 * index + part)).sum::<f32>() * 3.0_f32.sqrt())
        .collect()
}
