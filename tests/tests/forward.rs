//! The forward pass on real models, judged by stock llama.cpp.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

use secateur_compress::forward::{Forward, Hidden, NoTaps, Residency};
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;
use secateur_model::tokenizer::{EncodeOptions, Encoder, Special};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Chunks, Quantize};

const CHUNKS: Chunks = Chunks { count: 2, length: 512 };

/// Of the F16 expansion: from a quantized file, llama.cpp quantizes what goes into a matrix product too.
#[test]
fn perplexity_of_f16_models_is_llama_cpps() {
    let folder = tempfile::tempdir().unwrap();
    let f16 = folder.path().join("f16.gguf");
    for name in [SMOLLM2, GEMMA] {
        let how = Quantize { file_type: "F16", allow_requantize: true, ..Quantize::default() };
        judge::quantize(&fixture(name), &f16, how).unwrap();
        assert_same_perplexity(&f16, 0.002);
    }
}

fn assert_same_perplexity(model: &Path, tolerance: f64) {
    let judged = judge::perplexity(model, &judge_text(), CHUNKS, None).unwrap().perplexity;
    let ours = perplexity(model);
    assert!((ours / judged - 1.0).abs() < tolerance, "{ours} here, {judged} in llama.cpp");
}

/// As llama-perplexity has it: the second half of each chunk is scored.
fn perplexity(model: &Path) -> f64 {
    let checkpoint = Checkpoint::open(model).unwrap();
    let tokenizer = checkpoint.tokenizer.as_ref().unwrap();
    let options = EncodeOptions { add_special: true, parse_special: false };
    let text = fs::read_to_string(judge_text()).unwrap();
    let mut tokens = Encoder::new(tokenizer).unwrap().encode(&text, options).unwrap();
    tokens.truncate(CHUNKS.count * CHUNKS.length);
    let mut seen = tokens.clone();
    if tokenizer.adds_bos() {
        let bos = tokenizer.special(Special::BeginOfSequence).unwrap();
        seen.chunks_mut(CHUNKS.length).for_each(|chunk| chunk[0] = bos);
    }

    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let mut texts: Vec<Hidden> =
        seen.chunks(CHUNKS.length).map(|chunk| forward.embed(chunk).unwrap()).collect();
    forward.run_layers(&mut texts, &mut NoTaps, &Silent).unwrap();

    let scored = CHUNKS.length / 2..CHUNKS.length - 1;
    let mut loss = 0.0;
    for (hidden, chunk) in texts.iter().zip(tokens.chunks(CHUNKS.length)) {
        let add = |first: usize, logits: &[f32]| {
            for (row, target) in logits.chunks(forward.spec().vocabulary_size).zip(&chunk[first + 1..]) {
                let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = row.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
                loss += sum.ln() - f64::from(row[*target as usize] - greatest);
            }
        };
        forward.for_each_logits(hidden, scored.clone(), 64, add).unwrap();
    }
    (loss / (scored.len() * texts.len()) as f64).exp()
}

fn judge_text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt")
}
