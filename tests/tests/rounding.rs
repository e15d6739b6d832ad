//! Rounding that looks at what passes the model, and types chosen under a budget, judged by stock llama.cpp.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use secateur_tests::binary::{self, Ran};
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Chunks, Divergence, Quantize};

/// The demo's context is 256 tokens.
const DEMO_CHUNKS: Chunks = Chunks { count: 12, length: 256 };

/// A folder for caches and results, with the demo model as f32 and what it says of a text of its kind.
struct Bench {
    folder: tempfile::TempDir,
    parent: PathBuf,
    base: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let f32 = folder.path().join("f32");
        assert_eq!(
            secateur(folder.path(), &["compress", "demo", "--type", "f32", "--out", path(&f32)]).code,
            0
        );
        let (parent, base) = (f32.join("model.gguf"), folder.path().join("base"));
        judge::perplexity(&parent, &held_out(), DEMO_CHUNKS, Some(&base)).unwrap();
        Self { folder, parent, base }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compresses the demo, and tells how far it is from its parent.
    fn compress(&self, name: &str, options: &[&str]) -> (u64, Divergence) {
        let out = self.out(name);
        let ran =
            secateur(self.folder.path(), &[&["compress", "demo", "--out", path(&out)], options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let file = out.join("model.gguf");
        (fs::metadata(&file).unwrap().len(), judge::divergence(&file, &self.base).unwrap())
    }
}

/// Text in the demo's manner that it was not trained on.
fn held_out() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/held_out.txt")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the binary with a cache of its own.
fn secateur(cache: &Path, arguments: &[&str]) -> Ran {
    let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
    binary::run_with(&arguments, &[("SECATEUR_CACHE", cache.join("cache").as_os_str())])
}

#[test]
fn each_method_loses_less_than_the_plainer_one() {
    let bench = Bench::new();
    let mut before = f64::INFINITY;
    for rounding in ["rtn", "weighted", "gptq", "full"] {
        let options = ["--type", "iq4_nl", "--tensor-type", "ffn_down=q3_k", "--rounding", rounding];
        let (_, Divergence { mean, .. }) = bench.compress(rounding, &options);
        assert!(mean < before, "{rounding} loses {mean}, the method before {before}");
        before = mean;
    }
}

#[test]
fn a_budget_is_kept_used_and_worth_it() {
    let bench = Bench::new();
    let preset = bench.out("preset.gguf");
    let how = Quantize { file_type: "Q4_K_M", ..Quantize::default() };
    judge::quantize(&bench.parent, &preset, how).unwrap();
    let preset_bytes = fs::metadata(&preset).unwrap().len();
    let stock = judge::divergence(&preset, &bench.base).unwrap();

    let (bytes, ours) = bench.compress("budget", &["--max-size", &preset_bytes.to_string()]);
    assert!(bytes <= preset_bytes, "{bytes} bytes, allowed are {preset_bytes}");
    // rows of 160 in blocks: the smallest step between types is 0.1 % of this tiny file
    assert!(bytes as f64 > 0.99 * preset_bytes as f64, "{bytes} bytes of {preset_bytes}");
    assert!(ours.mean < 0.7 * stock.mean, "{} here, {} by the preset", ours.mean, stock.mean);

    let plan = fs::read_to_string(bench.out("budget").join("plan.yaml")).unwrap();
    assert!(plan.contains("rounding: full") && plan.contains("damage:"), "{plan}");
    let run: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bench.out("budget").join("run.json")).unwrap()).unwrap();
    let measured = run["quality"]["divergence"]["value"].as_f64().unwrap();
    assert!(measured > 0.0 && measured < 1.0, "{measured}");
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let bench = Bench::new();
    let file = |name: &str| fs::read(bench.out(name).join("model.gguf")).unwrap();
    for (name, threads) in [("one", "1"), ("two", "2")] {
        // each with a cache of its own, so that nothing is found made
        let cache = bench.out(threads);
        let out = bench.out(name);
        let options =
            ["compress", "demo", "--bits-per-weight", "5.2", "--threads", threads, "--out", path(&out)];
        assert_eq!(secateur(&cache, &options).code, 0);
    }
    assert!(file("one") == file("two"));
}

#[test]
fn too_little_text_for_full_rounding_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |rounding: &str| {
        let out = folder.path().join(rounding);
        let options = ["compress", "demo", "--type", "iq4_nl", "--tokens", "2048", "--rounding", rounding];
        let ran = secateur(folder.path(), &[&options[..], &["--out", path(&out)]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr.contains("give it more text")
    };
    assert!(told("full"));
    assert!(!told("gptq"));
}

#[test]
fn a_run_that_was_killed_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture(SMOLLM2);
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt");
    let (killed, whole) = (folder.path().join("killed"), folder.path().join("whole"));
    let options = |out: &Path| {
        let options =
            ["--type", "iq4_nl", "--rounding", "gptq", "--tokens", "1024", "--text", path(&text), "--out"];
        let mut typed: Vec<String> = vec!["compress".into(), path(&model).into()];
        typed.extend(options.map(Into::into));
        typed.push(path(out).into());
        typed
    };
    let cache = folder.path().join("cache");
    let mut child = Command::new(binary::path())
        .args(options(&killed))
        .env("SECATEUR_CACHE", &cache)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // until it has rounded a few layers
    let rounded = |name: &str| {
        let folders = fs::read_dir(cache.join("rounded")).into_iter().flatten().flatten();
        folders.into_iter().any(|folder| folder.path().join(name).exists())
    };
    while !rounded("layer-003.safetensors") {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.exists());
    for out in [&killed, &whole] {
        let typed = options(out);
        let ran = secateur(folder.path(), &typed.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let bytes = |out: &Path| fs::read(out.join("model.gguf")).unwrap();
    assert!(bytes(&killed) == bytes(&whole));
    judge::load(&whole.join("model.gguf")).unwrap();
}

#[test]
fn what_cannot_be_met_or_does_not_fit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = |options: &[&str]| {
        let ran = secateur(folder.path(), &[&["compress", "demo", "--out", path(&out)], options].concat());
        assert!(!out.exists(), "{options:?}");
        ran
    };
    let ran = refused(&["--max-size", "100kB"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the smallest that this model can have is"), "{}", ran.stderr);

    let ran = refused(&["--max-size", "700kB", "--rounding", "rtn"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);

    let ran = refused(&["--type", "q4_0", "--text", path(&held_out())]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);

    // another model's importance matrix has other widths
    let imatrix = folder.path().join("imatrix.gguf");
    let model = fixture(SMOLLM2);
    let calibrate = ["calibrate", path(&model), "--tokens", "512", "--imatrix", path(&imatrix)];
    assert_eq!(secateur(folder.path(), &calibrate).code, 0);
    let ran = refused(&["--type", "q4_0", "--rounding", "weighted", "--imatrix", path(&imatrix)]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("blk.0"), "{}", ran.stderr);
}

#[test]
fn an_importance_matrix_of_llama_cpp_does_what_it_does_there() {
    let bench = Bench::new();
    let imatrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/imatrix/demo.gguf");
    let options = ["--type", "q4_0", "--rounding", "weighted", "--imatrix", path(&imatrix)];
    let (_, ours) = bench.compress("ours", &options);
    let stock = bench.out("stock.gguf");
    let how = Quantize { file_type: "Q4_0", pure: true, imatrix: Some(&imatrix), ..Quantize::default() };
    judge::quantize(&bench.parent, &stock, how).unwrap();
    let stock = judge::divergence(&stock, &bench.base).unwrap();
    assert!(ours.mean < 1.1 * stock.mean, "{} here, {} by llama-quantize", ours.mean, stock.mean);
}
