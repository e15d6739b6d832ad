//! `search`, and `compress` with a device: plans within limits, found again from their study.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use secateur_model::plan::Plan;
use secateur_model::stored::FileBytes;
use secateur_model::{CacheType, Checkpoint, Family, Rounding, demo};
use secateur_tests::binary::{self, Ran};
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Specials};
use secateur_tests::qwen3::write_qwen3;
use serde_json::Value;

const DEVICE: [&str; 2] = ["--profile", "raspberry-pi-5-8gb"];

/// Runs with a cache of its own.
fn run(cache: &Path, arguments: &[&str]) -> Ran {
    binary::run_with(arguments, &[("SECATEUR_CACHE", cache.as_os_str())])
}

fn search(cache: &Path, options: &[&str]) -> Value {
    let arguments = [&["search", "demo", "--json", "--search", "fast"], &DEVICE[..], options].concat();
    let ran = run(cache, &arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn study(cache: &Path) -> PathBuf {
    let mut found = fs::read_dir(cache.join("studies")).unwrap();
    found.next().unwrap().unwrap().path()
}

#[test]
fn compress_finds_a_plan_for_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, out) = (folder.path().join("cache"), folder.path().join("out"));
    let out_text = out.to_str().unwrap();
    let options = ["--max-size", "560kB", "--search", "fast", "--evaluations", "6", "--out", out_text];
    let ran = run(&cache, &[&["compress", "demo"], &DEVICE[..], &options].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let gguf = out.join("model.gguf");
    assert!(fs::metadata(&gguf).unwrap().len() <= 560_000);
    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(out.join("plan.yaml")).unwrap()).unwrap();
    assert_eq!(plan.asked[..2], ["profile=raspberry-pi-5-8gb", "max-size=560000"]);
    assert_eq!(plan.rounding, Rounding::Gptq, "of a fast search");
    // stock llama.cpp runs it
    let tokens: &[u32] = &[1, 20, 300, 4];
    let rows = judge::next_token(&gguf, &[tokens.into()]).unwrap();
    assert_eq!(rows.columns, Checkpoint::open(&gguf).unwrap().spec.vocabulary_size);
    let sum: f32 = rows.values.iter().sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
}

#[test]
fn what_is_written_lost_least_of_what_was_rounded_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, out) = (folder.path().join("cache"), folder.path().join("out"));
    let options = ["--max-size", "540kB", "--search", "thorough", "--evaluations", "6", "--tokens", "8192"];
    let fixed = [&["compress", "demo", "--json", "--out", out.to_str().unwrap()], &DEVICE[..]].concat();
    let ran = run(&cache, &[&fixed[..], &options].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let finalists = told["search"]["finalists"].as_array().unwrap();
    assert!(finalists.len() > 1, "{told}");
    let losses: Vec<f64> = finalists.iter().map(|plan| plan["loss"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted(), "{losses:?}");
    assert_eq!(finalists[0]["plan"], told["search"]["chosen"]);
    assert!(fs::metadata(out.join("model.gguf")).unwrap().len() <= 540_000);
    // held against its parent again once it is written
    let divergence = told["quality"]["divergence"].as_f64().unwrap();
    assert!((divergence - losses[0]).abs() < 0.02 * divergence, "{divergence} {losses:?}");
    let left = fs::read_dir(cache.join("rounded")).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "nothing stays in the cache of what was not written");
}

#[test]
fn tokens_that_a_text_does_not_need_go_where_the_budget_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, out) = (folder.path().join("cache"), folder.path().join("out"));
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compress/data/calibration.txt");
    // with all of its tokens, the demo model's smallest shape in the smallest types has 450 kB
    let limits = ["--max-size", "420kB", "--search", "fast", "--evaluations", "2"];
    let limits = [&["compress", "demo"], &DEVICE[..], &limits, &["--text", text.to_str().unwrap()]].concat();
    let ran = run(&cache, &[&limits[..], &["--json", "--out", out.to_str().unwrap()]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(told["quality"]["divergence"].as_f64().unwrap() > 0.0, "{told}");
    let gguf = out.join("model.gguf");
    assert!(fs::metadata(&gguf).unwrap().len() <= 420_000);

    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(out.join("plan.yaml")).unwrap()).unwrap();
    let vocabulary = plan.vocabulary.unwrap();
    let kept = vocabulary.kept.indices();
    assert_eq!(told["vocabulary"]["tokens_after"].as_u64().unwrap() as usize, kept.len());
    // stock llama.cpp has the same text in it
    let line = "It is a truth universally acknowledged";
    let specials = Specials { add: false, parse: false };
    let tokens = judge::tokenize(&gguf, &[line], specials).unwrap().concat();
    assert!(tokens.iter().all(|&token| (token as usize) < kept.len()));
    let rows = judge::next_token(&gguf, &[tokens.as_slice().into()]).unwrap();
    assert_eq!(rows.columns, kept.len());
    let demo = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
    let old: Vec<u32> = tokens.iter().map(|&token| kept[token as usize]).collect();
    assert_eq!(demo.tokenizer.unwrap().decode(&old, true).unwrap(), line);

    // not without that stage
    let ran = run(&cache, &[&limits[..], &["--dry-run", "--stages", "shape,quantize"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("no plan is within the limits"), "{}", ran.stderr);
    let ran = run(&cache, &[&limits[..], &["--dry-run", "--stages", "shape"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("add `quantize`"), "{}", ran.stderr);
}

#[test]
fn a_study_answers_again_and_bad_lines_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let limits = ["--max-size", "560kB", "--evaluations", "5"];
    let first = search(cache, &limits);
    let lines = fs::read_to_string(study(cache)).unwrap().lines().count();
    // what is measured tells on how many passages, and what is chosen was measured on all
    assert_eq!(first["chosen"]["passages"], first["passages"], "{first}");
    for plan in first["front"].as_array().unwrap() {
        assert_eq!(plan["measured"].is_null(), plan["passages"] == 0, "{plan}");
        assert!(plan["passages"].as_u64() <= first["passages"].as_u64(), "{plan}");
    }
    let again = search(cache, &limits);
    assert_eq!(first["chosen"], again["chosen"]);
    assert_eq!(fs::read_to_string(study(cache)).unwrap().lines().count(), lines, "nothing is measured anew");

    // another limit is answered by what is there
    let before = fs::read(study(cache)).unwrap();
    let repaired = || fs::read_dir(cache.join("repaired")).map(Iterator::count).unwrap_or_default();
    let made = repaired();
    let other = search(cache, &["--max-size", "620kB", "--evaluations", "0"]);
    search(cache, &["--max-size", "480kB", "--evaluations", "0"]);
    assert_eq!(repaired(), made, "nothing is repaired for an answer");
    assert!(other["chosen"]["costs"][0].as_f64().unwrap() <= 620_000.0);
    assert!(other["chosen"]["expected"].as_f64() < first["chosen"]["expected"].as_f64(), "{other}");
    assert!(other["stopped"].as_str().unwrap().contains("nothing was measured anew"));
    assert!(other["evaluations"].as_f64().unwrap() > 0.0, "{other}");
    assert_eq!(fs::read(study(cache)).unwrap(), before);

    // killed while a line was written
    let mut damaged = fs::read(study(cache)).unwrap();
    damaged.truncate(damaged.len() - 9);
    fs::write(study(cache), damaged).unwrap();
    assert_eq!(search(cache, &limits)["chosen"], first["chosen"]);

    // a study of something else
    let header = fs::read_to_string(study(cache)).unwrap();
    let other = folder.path().join("other.jsonl");
    fs::write(&other, header).unwrap();
    let other = other.to_str().unwrap();
    let arguments =
        ["search", "demo", "--search", "fast", "--tokens", "2048", "--study", other, "--max-size", "560kB"];
    let ran = run(cache, &[&arguments, &DEVICE[..]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("other.jsonl is of inputs"), "{}", ran.stderr);
}

#[test]
fn all_plans_are_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let record = search(folder.path(), &["--max-size", "600kB", "--evaluations", "8"]);
    for plan in record["front"].as_array().unwrap().iter().chain([&record["chosen"]]) {
        assert!(plan["costs"][0].as_f64().unwrap() <= 600_000.0, "{plan}");
    }
    assert!(record["gguf_bytes"].as_u64().unwrap() <= 600_000);
    assert_eq!(record["gguf_bytes"].as_f64(), record["chosen"]["costs"][0].as_f64(), "predicted to the byte");
}

#[test]
fn a_file_says_what_may_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, space) = (folder.path().join("cache"), folder.path().join("space.yaml"));
    let offers = |text: &str| fs::write(&space, text).unwrap();
    let options = ["--max-size", "560kB", "--evaluations", "4", "--space", space.to_str().unwrap()];
    offers(
        "layers: []\nffn: [160]\nuneven: false\ntypes:\n  - {tensors: token_embd, types: [q8_0]}\n  - {tensors: ffn, types: [iq4_nl, q5_0]}\n",
    );
    let record = search(&cache, &options);
    for plan in record["front"].as_array().unwrap().iter().chain([&record["chosen"]]) {
        let shape = plan["shape"].as_str().unwrap();
        assert!(["as it is", "160 of 256 channels"].contains(&shape), "{plan}");
    }
    let out = folder.path().join("out");
    let fixed = ["compress", "demo", "--search", "fast", "--out", out.to_str().unwrap()];
    let ran = run(&cache, &[&fixed, &DEVICE[..], &options].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(out.join("plan.yaml")).unwrap()).unwrap();
    for tensor in &plan.tensors {
        let (name, given) = (&tensor.name, tensor.to.name());
        assert!(!name.starts_with("token_embd") || given == "q8_0", "{name} {given}");
        let is_offered = ["iq4_nl", "q5_0"].contains(&given) || name.ends_with("norm.weight");
        assert!(!name.contains("ffn") || is_offered, "{name} {given}");
    }

    let refused = |text: &str, more: &[&str], words: &[&str]| {
        offers(text);
        let ran = run(&cache, &[&["search", "demo"], &DEVICE[..], &options, more].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        words
            .iter()
            .for_each(|word| assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr));
    };
    refused("layers: [99]\n", &[], &["99"]);
    refused("depth: [2]\n", &[], &["space.yaml", "depth"]);
    refused("layers: [3]\n", &["--stages", "quantize"], &["`layers`", "shape"]);
    refused("uneven: true\n", &["--stages", "quantize"], &["`uneven`", "shape"]);
    refused("vocabulary: [1024]\n", &[], &["--text"]);
    refused("cache: [q8_0]\n", &[], &["heads of layer 0 have 40 numbers", "use f16"]);
    refused("cache: [f32]\n", &[], &["more memory than f16"]);
    refused("types: [{tensors: ffn_dwon, types: [q8_0]}]\n", &[], &["ffn_dwon"]);
    refused("types: [{tensors: ffn_down, types: [q9]}]\n", &[], &["q9"]);
    fs::remove_file(&space).unwrap();
    let ran = run(&cache, &[&["search", "demo"], &DEVICE[..], &options].concat());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

/// Of SmolLM2, whose keys and values take 188 MB for 8,192 tokens in f16: more than its weights.
#[test]
fn memory_for_a_long_context_is_found_in_keys_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let (model, cache) = (fixture(SMOLLM2), folder.path().join("cache"));
    let fixed = ["--search", "fast", "--stages", "quantize", "--tokens", "1024", "--context", "8192"];
    let run = |command: &str, limits: &[&str]| {
        let model = [command, model.to_str().unwrap()];
        let ran = run(&cache, &[&model[..], &DEVICE[..], &fixed, &["--max-size", "100MB"], limits].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    let chosen = |limits: &[&str]| {
        let record: Value =
            serde_json::from_str(&run("search", &[limits, &["--json"]].concat()).stdout).unwrap();
        let chosen = &record["chosen"];
        (chosen["shape"].as_str().unwrap().to_owned(), chosen["costs"][1].as_f64().unwrap())
    };
    let (shape, memory) = chosen(&[]);
    assert_eq!(shape, "as it is", "nothing asks for less than f16");
    // no types of matrices save so much: from 100 MB to the least possible, 68 MB
    let allowed = (memory - 60e6).to_string();
    let (shape, less) = chosen(&["--max-memory", &allowed]);
    assert_eq!(shape, "as it is, its keys and values in q8_0");
    assert!(less <= memory - 60e6, "{less} {memory}");
    let plan = run("compress", &["--max-memory", &allowed, "--dry-run", "--out", "never"]).stdout;
    let plan: Plan = serde_saphyr::from_str(&plan).unwrap();
    assert_eq!(plan.cache, Some(CacheType::Q8_0));
    assert!(plan.gguf_bytes > 90_000_000, "weights are as good as the size allows");
}

#[test]
fn what_no_plan_reaches_is_told_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = |options: &[&str], code: i32, words: &[&str]| {
        let fixed = ["compress", "demo", "--search", "fast", "--out", out.to_str().unwrap()];
        let ran = run(folder.path(), &[&fixed, &DEVICE[..], options].concat());
        assert_eq!(ran.code, code, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
        }
        assert!(!out.exists());
    };
    refused(&["--max-size", "100kB"], 1, &["bytes of model.gguf", "100000 are allowed"]);
    refused(&["--min-decode", "1000000"], 1, &["microseconds per token on raspberry-pi-5-8gb", "nearest"]);
    refused(&["--min-prefill", "1000000"], 1, &["microseconds per token of a prompt on raspberry-pi-5-8gb"]);
    refused(&["--max-energy", "1e-9"], 1, &["microseconds per token on raspberry-pi-5-8gb"]);
    refused(&["--max-size", "600kB", "--ffn", "128"], 2, &["--ffn", "leave it out"]);
    refused(&["--max-size", "600kB", "--rounding", "rtn"], 2, &["full or gptq rounding, not rtn"]);
    refused(&["--max-size", "600kB", "--time", "soon"], 2, &["90s, 10m or 1h"]);
    let unknown: [&OsStr; 6] =
        ["compress", "demo", "--profile", "toaster", "--out", out.to_str().unwrap()].map(OsStr::new);
    let ran = binary::run(&unknown);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

/// In some shapes query, key and value have one type, in the model as it is each has its own.
#[test]
fn a_space_may_have_shapes_whose_matrices_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (model, space) = (folder.path().join("qwen3.gguf"), folder.path().join("space.yaml"));
    write_qwen3(&model).unwrap();
    fs::write(&space, "layers: []\nheads: []\nffn: [128]\nuneven: true\n").unwrap();
    let mut families = Vec::new();
    // the smaller cannot be met by the model as it is
    for size in ["700kB", "430kB"] {
        let out = folder.path().join(size);
        let fixed = ["compress", model.to_str().unwrap(), "--json", "--out", out.to_str().unwrap()];
        let options = [
            "--max-size",
            size,
            "--search",
            "fast",
            "--evaluations",
            "2",
            "--space",
            space.to_str().unwrap(),
        ];
        let ran = run(&cache, &[&fixed[..], &DEVICE, &options].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        let bytes = fs::metadata(out.join("model.gguf")).unwrap().len();
        assert_eq!(told["search"]["chosen"]["costs"][0].as_f64().unwrap(), bytes as f64, "to the byte");
        let tokens: &[u32] = &[1, 20, 300, 4];
        judge::next_token(&out.join("model.gguf"), &[tokens.into()]).unwrap();
        families.push(Checkpoint::open(&out.join("model.gguf")).unwrap().spec.family);
    }
    assert_eq!(families, [Family::Qwen3, Family::OpenElm]);
}
