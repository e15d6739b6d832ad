//! Every family, from a Hugging Face folder that transformers wrote to a GGUF that llama.cpp computes.
//!
//! The models are tiny and random; their logits were computed by transformers (`golden/make_models.py`).

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::progress::Silent;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use secateur_model::{Checkpoint, Kept};
use secateur_tests::binary::compress;
use secateur_tests::judge::{self, Prompt};
use secateur_tests::typed::write_typed;

fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models").join(family)
}

/// Token ids `[2, 24]` and the logits after each, `[2, 24, vocabulary]`.
fn reference(family: &str) -> (Vec<Vec<u32>>, Vec<f32>) {
    let bytes = fs::read(golden(family).join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let ids = tensors.tensor("input_ids").unwrap();
    let length = ids.shape()[1];
    let ids: Vec<u32> = ids
        .data()
        .chunks_exact(8)
        .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32)
        .collect();
    let logits = tensors.tensor("logits").unwrap();
    let logits = logits.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    (ids.chunks_exact(length).map(<[u32]>::to_vec).collect(), logits.collect())
}

#[test]
fn llama_cpp_computes_the_logits_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    for family in ["llama", "llama-tied-rope-scaled", "qwen2", "qwen3", "gemma3"] {
        let out = folder.path().join(family);
        compress(&golden(family), &["--type", "f32"], &out);
        let (ids, expected) = reference(family);
        let prompts: Vec<Prompt> = ids.iter().map(|ids| Prompt::from(ids.as_slice())).collect();
        let got = judge::logits(&out.join("model.gguf"), &prompts).unwrap();
        assert_eq!(got.values.len(), expected.len(), "{family}");
        let scale = expected.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
        let worst = got.values.iter().zip(&expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        // llama.cpp keeps keys and values in f16
        assert!(worst < 4e-3 * scale, "{family}: {worst} of {scale}");
    }
}

/// Every layer with sizes of its own: of layer `n` the first `n` eighths of the channels, and not all heads, are gone.
fn uneven(model: &Checkpoint) -> ShapePlan {
    let of = model.spec.layers.len();
    let kept = |layer: usize| {
        let (attention, gated) =
            (model.spec.layers[layer].attention().unwrap(), model.spec.layers[layer].gated().unwrap());
        let ffn: Vec<u32> = (0..(gated.width - layer * gated.width / 8) as u32).collect();
        let kv_heads: Vec<u32> =
            (0..(attention.kv_heads - layer % 2 * attention.kv_heads / 2) as u32).collect();
        KeptLayer { layer, kv_heads: Some(Kept::new(&kv_heads)), ffn: Some(Kept::new(&ffn)) }
    };
    ShapePlan { of, layers: (0..of).map(kept).collect(), hidden: None, repair: Repair::None }
}

#[test]
fn layers_of_sizes_of_their_own_run_in_llama_cpp_as_deci_or_openelm() {
    let folder = tempfile::tempdir().unwrap();
    for family in ["llama", "llama-tied-rope-scaled", "qwen2", "qwen3"] {
        let whole = Checkpoint::open(&golden(family)).unwrap();
        let model = whole.clone().with_shape(&uneven(&whole), None).unwrap();
        assert!(model.spec.uneven_layer().is_some(), "{family}");
        let file = write_typed(&model, "f32", folder.path()).unwrap();
        let again = Checkpoint::open(&file).unwrap();
        assert_eq!(again.spec, model.spec, "{family}");
        let (ids, _) = reference(family);
        let judged = judge::logits(&file, &[Prompt::from(ids[0].as_slice())]).unwrap();
        let forward = Forward::new(&model, Residency::Stream).unwrap();
        let mut texts = [forward.embed(&ids[0]).unwrap()];
        forward.run_layers(&mut texts, &mut NoTaps, &Silent).unwrap();
        let ours = forward.logits(&texts[0], 0..ids[0].len()).unwrap();
        let scale = ours.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
        let worst = ours.iter().zip(&judged.values).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        // llama.cpp keeps keys and values in f16
        assert!(worst < 4e-3 * scale, "{family}: {worst} of {scale}");
    }
}

#[test]
fn what_llama_cpp_would_compute_differently_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let record = compress(&golden("mistral-window"), &["--type", "f32"], &folder.path().join("out"));
    let warning = record["warning"].as_str().unwrap();
    assert!(warning.contains("window of 8 tokens"), "{warning}");
}

/// Names, shapes and bytes of all tensors.
fn tensors(file: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec()))
        .collect();
    all.sort();
    all
}

#[test]
fn hugging_face_to_gguf_and_back_keeps_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    for family in ["llama", "llama-tied-rope-scaled", "mistral-window", "qwen2", "qwen3", "gemma3"] {
        let there = folder.path().join(family).join("there");
        compress(&golden(family), &["--type", "f32"], &there);
        let back = folder.path().join(family).join("back");
        compress(&there.join("model.gguf"), &["--type", "f32"], &back);
        let original = tensors(&golden(family).join("model.safetensors"));
        let returned = tensors(&back.join("hf/model.safetensors"));
        assert_eq!(original.len(), returned.len(), "{family}");
        for (original, returned) in original.iter().zip(&returned) {
            assert_eq!((&original.0, &original.1), (&returned.0, &returned.1), "{family}");
            // Gemma's norms go through `1 + weight` in 32 bits, as in llama.cpp's converter: the last bits round
            if family == "gemma3" && original.0.ends_with("norm.weight") {
                for (a, b) in numbers(&original.2).zip(numbers(&returned.2)) {
                    assert!((a - b).abs() <= f32::EPSILON, "{}: {a} {b}", original.0);
                }
            } else {
                assert!(original.2 == returned.2, "{family}: {} differs", original.0);
            }
        }
    }
}

#[test]
fn a_cap_on_attention_scores_that_no_runtime_applies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("capped");
    fs::create_dir(&model).unwrap();
    fs::copy(golden("gemma3").join("model.safetensors"), model.join("model.safetensors")).unwrap();
    let config = fs::read_to_string(golden("gemma3").join("config.json")).unwrap();
    let capped = config.replace(r#""attn_logit_softcapping": null"#, r#""attn_logit_softcapping": 50.0"#);
    assert_ne!(capped, config);
    fs::write(model.join("config.json"), capped).unwrap();
    let ran = secateur_tests::binary::run(&[Path::new("inspect"), &model]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("attn_logit_softcapping"), "{}", ran.stderr);
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
