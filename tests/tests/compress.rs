//! `secateur compress` on real models, judged by stock llama.cpp.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use secateur_compress::plan;
use secateur_model::gguf::Gguf;
use secateur_model::types::{Mix, TypeChoice, TypeRequest};
use secateur_model::{Checkpoint, TensorType};
use secateur_tests::binary::{compress, run};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Prompt, Quantize};
use secateur_tests::qwen3::write_qwen3;

const PROMPTS: [&str; 20] = [
    "The capital of France is",
    "2 + 2 =",
    "Once upon a time",
    "def fibonacci(n):\n    ",
    "The quick brown fox",
    "Water boils at",
    "Der schnelle braune",
    "Il était une fois",
    "SELECT name FROM",
    "To be, or not to be,",
    "Roses are red,",
    "The chemical symbol for gold is",
    "1, 1, 2, 3, 5, 8,",
    "<html>\n<head>",
    "In the year 1969",
    "My favourite colour is",
    "E = m",
    "人工智能",
    "\t\tindented",
    "The end.",
];

/// Every type and mix that `--type` takes.
const TYPES: [&str; 23] = [
    "f32", "f16", "bf16", "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0", "iq4_nl", "iq4_xs",
    "mxfp4", "q3_k", "q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m",
];

fn artifact(model: &Path, options: &[&str], folder: &Path) -> PathBuf {
    compress(model, options, folder);
    folder.join("model.gguf")
}

/// Names, types and bytes of all tensors.
fn tensors(path: &Path) -> Vec<(String, TensorType, Vec<u8>)> {
    let gguf = Gguf::open(path).unwrap();
    let mut tensors: Vec<_> = gguf
        .tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.tensor_type, gguf.files.map(tensor).unwrap().to_vec()))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn assert_same_tensors(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (tensors(ours), tensors(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((&ours.0, ours.1), (&theirs.0, theirs.1));
        assert!(ours.2 == theirs.2, "{} differs", ours.0);
    }
}

#[test]
fn the_first_command_of_the_readme_leaves_a_complete_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out/demo");
    let record = compress(Path::new("demo"), &["--type", "q4_0", "--seed", "7"], &out);
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        ["README.md", "SHA256SUMS", "model.gguf", "plan.yaml", "report.html", "report.md", "run.json"]
    );
    assert_eq!(record["gguf_bytes"], fs::metadata(out.join("model.gguf")).unwrap().len());
    let sums =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out).output();
    assert!(sums.unwrap().status.success());
    let run: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["seed"], 7);
    let continued = judge::greedy(&out.join("model.gguf"), "In the beginning", 8).unwrap();
    assert!(!continued.text.is_empty());
}

#[test]
fn every_type_has_the_planned_size_and_loads_in_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    for name in TYPES {
        let dry = run(&["compress", "demo", "--type", name, "--dry-run", "--json"]);
        assert_eq!(dry.code, 0, "{}", dry.stderr);
        let plan: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
        let model = artifact(Path::new("demo"), &["--type", name], &folder.path().join(name));
        assert_eq!(plan["gguf_bytes"], fs::metadata(&model).unwrap().len(), "{name}");
        let loaded = judge::load(&model).unwrap();
        assert_eq!((loaded.architecture.as_str(), loaded.layers), ("llama", 4), "{name}");
    }
}

#[test]
fn f16_holds_what_llama_quantize_makes_of_the_original() {
    for name in [SMOLLM2, GEMMA] {
        let original = fixture(name);
        let folder = tempfile::tempdir().unwrap();
        let ours = artifact(&original, &["--type", "f16"], &folder.path().join("ours"));
        let theirs = folder.path().join("theirs.gguf");
        let how = Quantize { file_type: "F16", allow_requantize: true, ..Quantize::default() };
        judge::quantize(&original, &theirs, how).unwrap();
        assert_same_tensors(&ours, &theirs);

        let prompts = PROMPTS.map(Prompt::from);
        let got = judge::next_token(&ours, &prompts).unwrap();
        let expected = judge::next_token(&theirs, &prompts).unwrap();
        assert_eq!(got, expected, "{name}");
        // the original itself is computed from activations in 8 bits: close, not equal
        let quantized = judge::next_token(&original, &prompts).unwrap();
        let distances: Vec<f32> = got
            .iter()
            .zip(quantized.iter())
            .map(|(got, quantized)| got.iter().zip(quantized).map(|(a, b)| (a - b).abs()).sum::<f32>() / 2.0)
            .collect();
        let mean = distances.iter().sum::<f32>() / distances.len() as f32;
        assert!(mean < 0.06, "{name}: total variation {distances:?}");
    }
}

#[test]
fn plain_types_are_byte_for_byte_those_of_llama_quantize() {
    let folder = tempfile::tempdir().unwrap();
    let source = artifact(&fixture(SMOLLM2), &["--type", "f16"], &folder.path().join("f16"));
    for (name, file_type) in
        [("q4_0", "Q4_0"), ("q4_1", "Q4_1"), ("q5_0", "Q5_0"), ("q5_1", "Q5_1"), ("q8_0", "Q8_0")]
    {
        let ours = artifact(&source, &["--type", name], &folder.path().join(name));
        let theirs = folder.path().join("theirs.gguf");
        judge::quantize(&source, &theirs, Quantize { file_type, pure: true, ..Quantize::default() }).unwrap();
        assert_same_tensors(&ours, &theirs);
    }
}

#[test]
fn mixes_choose_the_types_that_llama_quantize_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let source = artifact(&fixture(SMOLLM2), &["--type", "f16"], &folder.path().join("f16"));
    let checkpoint = Checkpoint::open(&source).unwrap();
    for mix in Mix::ALL {
        let theirs = folder.path().join("theirs.gguf");
        let file_type = mix.name().to_uppercase();
        judge::quantize(&source, &theirs, Quantize { file_type: &file_type, ..Quantize::default() }).unwrap();
        assert_eq!(planned_types(&checkpoint, mix), stored_types(&theirs), "{file_type}");
    }
    // query, key and value in one matrix
    let (model, source) = (folder.path().join("qwen3.gguf"), folder.path().join("uneven"));
    write_qwen3(&model).unwrap();
    let uneven = ["--type", "f16", "--ffn", "128", "--uneven", "--tokens", "1024"];
    let source = artifact(&model, &uneven, &source);
    let checkpoint = Checkpoint::open(&source).unwrap();
    for mix in Mix::ALL {
        let theirs = folder.path().join("theirs.gguf");
        let file_type = mix.name().to_uppercase();
        judge::quantize(&source, &theirs, Quantize { file_type: &file_type, ..Quantize::default() }).unwrap();
        let mut planned = planned_types(&checkpoint, mix);
        planned.dedup();
        assert_eq!(planned, stored_types(&theirs), "{file_type}");
    }
    // a file that others have quantized
    let gemma = Checkpoint::open(&fixture(GEMMA)).unwrap();
    assert_eq!(planned_types(&gemma, Mix::Q4_K_M), stored_types(&fixture(GEMMA)));
}

fn planned_types(checkpoint: &Checkpoint, mix: Mix) -> Vec<(String, TensorType)> {
    let request = TypeRequest { base: TypeChoice::Mix(mix), overrides: Vec::new() };
    let plan = plan(checkpoint, &request).unwrap();
    let mut types: Vec<_> = plan.tensors.into_iter().map(|tensor| (tensor.name, tensor.to)).collect();
    types.sort();
    types
}

fn stored_types(path: &Path) -> Vec<(String, TensorType)> {
    let tensors = Gguf::open(path).unwrap().tensors;
    let mut types: Vec<_> = tensors.into_iter().map(|tensor| (tensor.name, tensor.tensor_type)).collect();
    types.sort();
    types
}

#[test]
fn overrides_decide_and_fallbacks_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let options =
        ["--type", "q4_k", "--tensor-type", r"blk\.0\.ffn_down=q6_k", "--tensor-type", "attn_v=q8_0"];
    let record = compress(Path::new("demo"), &options, &out);
    let types = stored_types(&out.join("model.gguf"));
    let of = |name: &str| types.iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!(of("blk.0.ffn_down.weight"), TensorType::Q6_K);
    assert_eq!(of("blk.1.ffn_down.weight"), TensorType::Q4_K);
    assert_eq!(of("blk.3.attn_v.weight"), TensorType::Q8_0);
    assert_eq!(of("blk.3.attn_q.weight"), TensorType::Q5_0);
    let fallback = &record["fallbacks"][0];
    assert_eq!((&fallback["asked"], &fallback["given"]), (&"q4_k".into(), &"q5_0".into()));
    let plan = fs::read_to_string(out.join("plan.yaml")).unwrap();
    assert!(plan.contains("instead_of: q4_k"), "{plan}");
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let out = |threads: &str, run: usize| {
        let out = folder.path().join(format!("{threads}-{run}"));
        compress(&fixture(SMOLLM2), &["--type", "q3_k_m", "--threads", threads], &out);
        fs::read_to_string(out.join("SHA256SUMS")).unwrap()
    };
    let once = out("1", 0);
    assert!(once.contains("model.gguf") && once.contains("plan.yaml") && once.contains("README.md"));
    assert_eq!(out("2", 0), once);
    assert_eq!(out("2", 1), once);
}

#[test]
fn a_real_model_goes_to_hugging_face_and_back_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    for (name, tensor_type) in [(SMOLLM2, "f16"), (GEMMA, "bf16")] {
        let there = folder.path().join("there");
        let first = artifact(&fixture(name), &["--type", tensor_type], &there);
        let back = artifact(&there.join("hf"), &["--type", tensor_type], &folder.path().join("back"));
        let again = folder.path().join("back/hf/model.safetensors");
        assert!(fs::read(there.join("hf/model.safetensors")).unwrap() == fs::read(again).unwrap(), "{name}");
        if name == SMOLLM2 {
            assert_same_tensors(&first, &back);
        }
        let ids = |model: &Path| judge::tokenize(model, &PROMPTS, judge::Specials::default()).unwrap();
        assert_eq!(ids(&first), ids(&back), "{name}");
    }
}

#[test]
fn memory_is_bounded_by_the_largest_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let generated = Command::new(tool("generate-checkpoint"))
        .args(["--gigabytes", "0.8", "--out"])
        .arg(&model)
        .status()
        .unwrap();
    assert!(generated.success());
    let record = compress(&model, &["--type", "q8_0"], &folder.path().join("out"));
    // the embedding, [32000, 2048]
    let largest = 32_000 * 2048 * 4;
    let peak = record["peak_memory"].as_u64().unwrap();
    assert!(peak < 400_000_000 + 2 * largest, "{peak}");
    assert!(peak < 500_000_000, "pieces of 16 MiB and one mapped tensor in f16: {peak}");
}

#[test]
fn a_reference_checkpoint_is_near_its_source_and_exact_in_no_type() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("reference");
    let made =
        Command::new(tool("reference-checkpoint")).arg(fixture(SMOLLM2)).arg("--out").arg(&out).status();
    assert!(made.unwrap().success());
    assert!(out.join("hf/model.safetensors").exists());
    let record = compress(&out.join("model.gguf"), &["--type", "q4_1"], &folder.path().join("q4_1"));
    let (name, distance) = (&record["worst_tensor"][0], record["worst_tensor"][1].as_f64().unwrap());
    assert!((1e-3..2e-2).contains(&distance), "{name}: {distance}");
}

/// A developer's command of this workspace, built beside the tests.
fn tool(name: &str) -> PathBuf {
    secateur_tests::binary::path().with_file_name(name)
}
