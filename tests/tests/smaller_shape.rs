//! `compress --layers`, `--heads`, `--ffn`, `--hidden`: stock llama.cpp loads what is left and computes what our forward pass computes.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;
use secateur_model::gguf::Gguf;
use secateur_model::tokenizer::{EncodeOptions, Encoder};
use secateur_tests::binary;
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge;
use secateur_tests::qwen3::write_qwen3;

fn judge_text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt")
}

/// The first tokens of a text.
fn tokens(model: &Checkpoint, count: usize) -> Vec<u32> {
    let encoder = Encoder::new(model.tokenizer.as_ref().unwrap()).unwrap();
    let text = std::fs::read_to_string(judge_text()).unwrap();
    let mut tokens =
        encoder.encode(&text, EncodeOptions { add_special: true, parse_special: false }).unwrap();
    tokens.truncate(count);
    tokens
}

/// Our logits of the artifact are llama.cpp's.
fn assert_llama_cpp_agrees(gguf: &Path, tolerance: f32) {
    let model = Checkpoint::open(gguf).unwrap();
    let tokens = tokens(&model, 40);
    let judged = judge::logits(gguf, &[tokens.as_slice().into()]).unwrap();
    let forward = Forward::new(&model, Residency::Stream).unwrap();
    let mut texts = [forward.embed(&tokens).unwrap()];
    forward.run_layers(&mut texts, &mut NoTaps, &Silent).unwrap();
    let ours = forward.logits(&texts[0], 0..tokens.len()).unwrap();
    let largest = judged.values.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    for (position, (ours, judged)) in ours.chunks(judged.columns).zip(judged.iter()).enumerate() {
        let farthest = ours.iter().zip(judged).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(farthest <= tolerance * largest, "position {position}: {farthest} of {largest}");
    }
}

#[test]
fn llama_cpp_runs_fewer_layers_heads_and_channels() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let options = [
        "--type",
        "f32",
        "--layers",
        "28",
        "--layer-choice",
        "influence",
        "--heads",
        "6",
        "--ffn",
        "1280",
        "--tokens",
        "2048",
    ];
    let record = binary::compress(&fixture(SMOLLM2), &options, &out);
    assert_eq!(record["shape"]["layers"], serde_json::json!([30, 28]));
    assert_eq!(record["shape"]["heads"], serde_json::json!([9, 6]));
    let model = Checkpoint::open(&out.join("model.gguf")).unwrap();
    let layer = &model.spec.layers[27];
    let attention = layer.attention().unwrap();
    assert_eq!((attention.heads, attention.kv_heads, attention.head_size), (6, 2, 64));
    assert_eq!(layer.gated().unwrap().width, 1280);
    assert_eq!(record["shape"]["parameters"][1].as_u64().unwrap(), model.spec.parameter_count());
    let report = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("| layers | 30 | 28 |") && report.contains("| parameters | 135 M |"), "{report}");
    assert_llama_cpp_agrees(&out.join("model.gguf"), 1e-4);
    // the folder for transformers says the same
    assert_eq!(Checkpoint::open(&out.join("hf")).unwrap().spec, model.spec);
}

#[test]
fn llama_cpp_runs_fewer_hidden_dimensions() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let options = ["--type", "f32", "--hidden", "512", "--ffn", "1408", "--heads", "6", "--tokens", "2048"];
    let record = binary::compress(&fixture(SMOLLM2), &options, &out);
    assert_eq!(record["shape"]["hidden"], serde_json::json!([576, 512]));
    let model = Checkpoint::open(&out.join("model.gguf")).unwrap();
    assert_eq!((model.spec.hidden_size, model.spec.layers[0].attention().unwrap().head_size), (512, 64));
    assert_llama_cpp_agrees(&out.join("model.gguf"), 1e-4);
    assert_eq!(Checkpoint::open(&out.join("hf")).unwrap().spec, model.spec);
}

#[test]
fn layers_keep_as_many_channels_as_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let lost = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        let options = [&["--type", "f32", "--ffn", "128"], options].concat();
        let record = binary::compress(Path::new("demo"), &options, &out);
        let widths: Vec<u64> = serde_json::from_value(record["shape"]["uneven_ffn"].clone()).unwrap();
        (record["quality"]["divergence"].as_f64().unwrap(), widths, record)
    };
    let (even, none, _) = lost("even", &[]);
    assert!(none.is_empty());
    let (uneven, widths, record) = lost("uneven", &["--uneven"]);
    assert_eq!(widths.iter().sum::<u64>(), 4 * 128);
    assert!(
        widths.iter().all(|width| width % 32 == 0) && widths.iter().any(|width| *width != 128),
        "{widths:?}"
    );
    assert!(uneven < even, "{uneven} {even} {widths:?}");
    assert!(record["hf_left_out"].as_str().unwrap().contains("transformers"));
    let gguf = folder.path().join("uneven/model.gguf");
    let model = Checkpoint::open(&gguf).unwrap();
    let found: Vec<u64> = model.spec.layers.iter().map(|layer| layer.gated().unwrap().width as u64).collect();
    assert_eq!(found, widths);
    assert_llama_cpp_agrees(&gguf, 1e-4);
}

/// Query, key and value of such a model are one matrix: with a type in common, whatever decides it.
#[test]
fn layers_of_qwen_3_keep_as_many_channels_as_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("qwen3.gguf");
    write_qwen3(&model).unwrap();
    assert_llama_cpp_agrees(&model, 1e-4);
    let uneven = ["--ffn", "128", "--uneven", "--tokens", "2048"];
    let joined = |name: &str, options: &[&str], tolerance: f32| {
        let out = folder.path().join(name);
        binary::compress(&model, &[&uneven[..], options].concat(), &out);
        let gguf = out.join("model.gguf");
        assert_llama_cpp_agrees(&gguf, tolerance);
        let tensors = Gguf::open(&gguf).unwrap().tensors;
        let joined = tensors.iter().filter(|tensor| tensor.name.ends_with("attn_qkv.weight"));
        let shapes: Vec<_> = joined.map(|tensor| tensor.shape.clone()).collect();
        assert!(shapes.len() == 4 && shapes.iter().all(|shape| shape[..] == [320, 160]), "{shapes:?}");
        std::fs::metadata(&gguf).unwrap().len()
    };
    joined("plain", &["--type", "f32"], 1e-4);
    // llama.cpp rounds states to eight bits where matrices are rounded
    joined("preset", &["--type", "q4_k_m"], 0.05);
    let bytes = joined("budget", &["--max-size", "450kB"], 0.05);
    assert!((440_000..=450_000).contains(&bytes), "{bytes}");
}

#[test]
fn gemma_without_layers_keeps_its_pattern_of_windows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // layers 5, 11 and 17 see everything; without layers 3 and 8 these are no longer every sixth
    let options = ["--type", "f16", "--keep-layers", "0-2,4-7,9-17", "--repair", "none", "--tokens", "1024"];
    binary::compress(&fixture(GEMMA), &options, &out);
    let model = Checkpoint::open(&out.join("model.gguf")).unwrap();
    let sees_all = |layer: &secateur_model::spec::LayerSpec| layer.attention().unwrap().window.is_none();
    let global: Vec<usize> = (0..16).filter(|&layer| sees_all(&model.spec.layers[layer])).collect();
    assert_eq!(global, [4, 9, 15]);
    assert_llama_cpp_agrees(&out.join("model.gguf"), 2e-3);
}

#[test]
fn what_removes_nothing_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, kept) = (folder.path().join("whole"), folder.path().join("kept"));
    binary::compress(Path::new("demo"), &["--type", "q8_0"], &whole);
    let all = ["--type", "q8_0", "--keep-layers", "0-3", "--heads", "4", "--ffn", "256"];
    binary::compress(Path::new("demo"), &all, &kept);
    let open = |folder: &Path| Checkpoint::open(&folder.join("model.gguf")).unwrap();
    let (whole, kept) = (open(&whole), open(&kept));
    assert_eq!(whole.spec, kept.spec);
    for id in whole.spec.tensor_ids() {
        let (whole, kept) = (whole.tensor(id).unwrap(), kept.tensor(id).unwrap());
        for row in 0..whole.rows() {
            assert_eq!(whole.raw_row(row), kept.raw_row(row), "{id:?}");
        }
    }
}

/// What the model in the program loses with these options, in nats per token.
fn divergence(options: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let options: Vec<&str> = options.split_whitespace().collect();
    let record = binary::compress(Path::new("demo"), &options, &folder.path().join("out"));
    record["quality"]["divergence"].as_f64().unwrap()
}

#[test]
fn repair_brings_back_most_of_what_was_lost() {
    let lost = |options: &str| divergence(&format!("--type f16 --ffn 192 {options}"));
    let magnitude = lost("--importance magnitude --repair none");
    let bare = lost("--importance obs --repair none");
    let biased = lost("--importance flap --repair bias");
    let flap = lost("--importance flap --repair none");
    let solved = lost("");
    assert!(bare < magnitude, "{bare} {magnitude}");
    assert!(biased < flap, "{biased} {flap}");
    assert!(solved < 0.6 * bare && solved < 0.6 * biased, "{solved} {bare} {biased}");
}

#[test]
fn what_reads_changed_states_is_solved_as_well_as_what_adds_to_them() {
    // with output projections alone 0.68 and 0.28 of what is lost remain
    for (shape, most) in [("--layers 3", 0.64), ("--heads 2", 0.26)] {
        let lost = |repair: &str| divergence(&format!("--type f16 {shape} --repair {repair}"));
        let (bare, solved) = (lost("none"), lost("solve"));
        assert!(solved < most * bare, "{shape}: {solved} {bare}");
    }
}

#[test]
fn full_rounding_makes_good_what_no_repair_did() {
    // layers that are gone are passed by the goal alone
    for shape in ["--ffn 192", "--keep-layers 0,2,3"] {
        let lost =
            |rounding: &str| divergence(&format!("--type q8_0 {shape} --repair none --rounding {rounding}"));
        let (nearest, full) = (lost("rtn"), lost("full"));
        assert!(full < 0.6 * nearest, "{shape}: {full} {nearest}");
    }
}

#[test]
fn what_was_solved_is_rounded_toward_the_parent_not_solved_as_if_it_were_the_parent() {
    for shape in ["--heads 2", "--layers 3", "--ffn 192"] {
        let lost = |rounding: &str| divergence(&format!("--type q4_k {shape} {rounding}"));
        let (nearest, usual) = (lost("--rounding rtn"), lost(""));
        assert!(usual < nearest, "{shape}: {usual} {nearest}");
    }
}

#[test]
fn what_reads_hidden_dimensions_makes_good_for_those_that_go() {
    let lost = |options: &str| divergence(&format!("--type f16 --hidden 144 {options}"));
    let magnitude = lost("--importance magnitude --repair none");
    let bare = lost("--repair none");
    let solved = lost("");
    assert!(bare < magnitude, "{bare} {magnitude}");
    assert!(solved < 0.6 * bare, "{solved} {bare}");
}

#[test]
fn biases_are_loaded_by_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let options =
        ["--type", "f16", "--ffn", "192", "--heads", "2", "--importance", "flap", "--repair", "bias"];
    binary::compress(Path::new("demo"), &options, &out);
    assert_llama_cpp_agrees(&out.join("model.gguf"), 2e-3);
}

#[test]
fn a_shape_goes_with_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let record = binary::compress(Path::new("demo"), &["--max-size", "500kB", "--ffn", "192"], &out);
    assert!(record["gguf_bytes"].as_u64().unwrap() <= 500_000);
    assert_llama_cpp_agrees(&out.join("model.gguf"), 0.05);
}

#[test]
fn shapes_that_cannot_be_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = |model: &Path, options: &[&str], words: &[&str]| {
        let mut arguments = vec!["compress", model.to_str().unwrap(), "--type", "f16", "--out"];
        arguments.push(out.to_str().unwrap());
        arguments.extend(options);
        let ran = binary::run(&arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
        }
        assert!(!out.exists());
    };
    let demo = Path::new("demo");
    refused(demo, &["--layers", "5"], &["5 layers", "has 4"]);
    refused(demo, &["--layers", "1"], &["1 layers", "first and the last"]);
    refused(demo, &["--keep-layers", "0-4"], &["layer 4", "4 layers"]);
    refused(demo, &["--keep-layers", "2,1"], &["`1` does not ascend"]);
    refused(demo, &["--heads", "3"], &["3 heads", "groups of 2"]);
    refused(demo, &["--heads", "0"], &["0 heads"]);
    refused(demo, &["--ffn", "257"], &["257 feed-forward channels", "256"]);
    refused(demo, &["--hidden", "0"], &["0 hidden dimensions", "160"]);
    refused(demo, &["--hidden", "161"], &["161 hidden dimensions", "160"]);
    refused(demo, &["--hidden", "144", "--importance", "taylor"], &["taylor"]);
    refused(demo, &["--hidden", "144", "--repair", "bias"], &["--repair solve"]);
    refused(&fixture(GEMMA), &["--hidden", "512"], &["gemma3", "square root of its width"]);
    refused(demo, &["--ffn", "128", "--importance", "luck"], &["`luck`", "magnitude, activation"]);
    refused(
        demo,
        &["--ffn", "192", "--uneven", "--importance", "flap"],
        &["--importance flap", "obs or taylor"],
    );
    refused(
        &fixture(GEMMA),
        &["--ffn", "1024", "--uneven"],
        &["no architecture for a gemma3 whose layers differ"],
    );
    refused(
        &fixture(GEMMA),
        &["--ffn", "1024", "--repair", "bias"],
        &["no place for biases", "--repair solve"],
    );
}
