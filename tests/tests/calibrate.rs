//! Calibration statistics, judged by stock llama.cpp and numpy; runs that are killed; importance matrices both ways.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use secateur_compress::forward::Site;
use secateur_compress::progress::Silent;
use secateur_compress::statistics::{
    Imatrix, InputMoments, Place, Statistics, calibrate, calibration_tokens, read_texts,
};
use secateur_model::{Checkpoint, Role, TensorId};
use secateur_tests::binary::{self, Ran};
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Quantize};
use serde_json::Value;

fn in_tests(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn demo() -> PathBuf {
    in_tests("../model/demo/demo.gguf")
}

fn judge_text() -> PathBuf {
    in_tests("data/judge.txt")
}

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    let mut all = vec![OsStr::new("calibrate")];
    all.extend(arguments.iter().map(AsRef::as_ref));
    binary::run(&all)
}

/// Runs with `--json` into a folder and gives the record.
fn made(model: &Path, options: &[&str], out: &Path) -> Value {
    let mut arguments = vec![model.as_os_str(), "--json".as_ref(), "--out".as_ref(), out.as_os_str()];
    arguments.extend(options.iter().map(OsStr::new));
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("--json prints JSON")
}

/// How far two lists of numbers are apart, as a part of the second.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square =
        |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let apart = square(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    (apart / square(&mut expected.iter().copied())).sqrt()
}

/// Compares what some matrices read with what they read in llama.cpp.
fn assert_same_moments(model: &Path, statistics: &Statistics, matrices: &[TensorId]) {
    let limit = 1e-5;
    let checkpoint = Checkpoint::open(model).unwrap();
    let table = checkpoint.spec.family.table();
    let names: Vec<String> = matrices.iter().map(|&id| table.gguf_name(id).unwrap()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let judged = judge::moments(model, statistics.sequences(), &names).unwrap();
    for ((&id, name), (second, mean)) in matrices.iter().zip(&names).zip(&judged.inputs) {
        let ours = statistics.input_of(id).unwrap().unwrap();
        let (second, mean) = (distance(&ours.second(), second), distance(ours.mean(), mean));
        assert!(second < limit && mean < limit, "{name}: second {second:.2e}, mean {mean:.2e}");
    }
    let influence = statistics.block_influence()[1..].iter().zip(&judged.block_influence);
    for (layer, (ours, judged)) in influence.enumerate() {
        assert!((ours - judged).abs() < limit, "layer {}: {ours} here, {judged} there", layer + 1);
    }
    assert_eq!(judged.block_influence.len() + 1, statistics.block_influence().len());
}

#[test]
fn moments_are_those_of_llama_cpp_and_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (folder.path().join("f32.gguf"), folder.path().join("out"));
    judge::quantize(&demo(), &model, Quantize { file_type: "F32", ..Quantize::default() }).unwrap();
    let text = judge_text();
    let record = made(&model, &["--text", text.to_str().unwrap(), "--tokens", "1024"], &out);
    assert_eq!((record["tokens"].as_u64(), record["sequences"].as_u64()), (Some(1024), Some(4)));

    let statistics = Statistics::open(&out, &Checkpoint::open(&model).unwrap(), &Silent).unwrap();
    let matrices = [
        TensorId::in_layer(0, Role::AttentionQuery),
        TensorId::in_layer(1, Role::AttentionOutput),
        TensorId::in_layer(2, Role::FfnUp),
        TensorId::in_layer(3, Role::FfnDown),
        TensorId::global(Role::TokenEmbedding),
    ];
    assert_same_moments(&model, &statistics, &matrices);
}

/// Of the F32 expansion: with other types, llama.cpp rounds what goes into a matrix product, too; with F16 on some processors only.
#[test]
fn moments_of_a_real_model_are_those_of_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (folder.path().join("f32.gguf"), folder.path().join("out"));
    let how = Quantize { file_type: "F32", allow_requantize: true, ..Quantize::default() };
    judge::quantize(&fixture(SMOLLM2), &model, how).unwrap();
    made(&model, &["--tokens", "512"], &out);
    let statistics = Statistics::open(&out, &Checkpoint::open(&model).unwrap(), &Silent).unwrap();
    let matrices = [
        TensorId::in_layer(0, Role::AttentionKey),
        TensorId::in_layer(14, Role::AttentionOutput),
        TensorId::in_layer(29, Role::FfnGate),
        TensorId::in_layer(29, Role::FfnDown),
        TensorId::global(Role::TokenEmbedding),
    ];
    assert_same_moments(&model, &statistics, &matrices);
}

#[test]
fn diagonals_are_those_of_llama_imatrix() {
    let checkpoint = Checkpoint::open(&demo()).unwrap();
    let texts = read_texts(&judge_text()).unwrap();
    let tokenizer = checkpoint.tokenizer.as_ref().unwrap();
    let sequences = calibration_tokens(tokenizer, &checkpoint.spec, &texts, None).unwrap();
    // `--chunks 8`
    let sequences: Vec<Vec<u32>> = sequences.into_iter().take(8).map(|sequence| sequence.tokens).collect();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let statistics = calibrate(&checkpoint, &sequences, &place, &Silent).unwrap().statistics;
    let ours = Imatrix::of(&statistics, &checkpoint, vec!["tests/data/judge.txt".to_owned()]).unwrap();

    let stock = Imatrix::read(&in_tests("golden/imatrix/demo.gguf")).unwrap();
    assert_eq!((ours.chunk_count, ours.chunk_size), (stock.chunk_count, stock.chunk_size));
    let old = Imatrix::read(&in_tests("golden/imatrix/demo.dat")).unwrap();
    assert_eq!(old.chunk_count, stock.chunk_count);
    assert_eq!(old.datasets.len(), 1);
    for (format, theirs) in [("gguf", &stock), ("dat", &old)] {
        assert!(ours.entries.keys().eq(theirs.entries.keys()));
        for (name, entry) in &ours.entries {
            // llama-imatrix keeps keys and values in F16
            let apart = distance(&entry.mean_squares, &theirs.entries[name].mean_squares);
            assert!(apart < 2e-3, "{name} in {format}: {apart:.2e}");
        }
    }
    assert!(ours.entries.iter().all(|(name, entry)| entry.count == stock.entries[name].count));
}

#[test]
fn llama_quantize_takes_our_importance_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("imatrix.gguf");
    let options = ["--tokens", "8192", "--imatrix", file.to_str().unwrap()];
    made(&demo(), &options, &folder.path().join("out"));
    let ours = Imatrix::read(&file).unwrap();
    let stock = judge::read_imatrix(&file).unwrap();
    assert_eq!(stock.chunks, 32);
    let mean_squares: BTreeMap<_, _> =
        ours.entries.iter().map(|(name, entry)| (name.clone(), entry.mean_squares.clone())).collect();
    assert_eq!(stock.entries, mean_squares);

    let (plain, weighted) = (folder.path().join("plain.gguf"), folder.path().join("weighted.gguf"));
    let how = Quantize { file_type: "Q4_0", pure: true, ..Quantize::default() };
    judge::quantize(&demo(), &plain, how).unwrap();
    judge::quantize(&demo(), &weighted, Quantize { imatrix: Some(&file), ..how }).unwrap();
    let (plain, weighted) = (weighted_error(&plain, &ours), weighted_error(&weighted, &ours));
    assert!(weighted < 0.95 * plain, "{weighted} with the matrix, {plain} without");
}

/// Squared error of all matrices in the layers against the demo model, each column by its mean square.
fn weighted_error(model: &Path, imatrix: &Imatrix) -> f64 {
    let (source, model) = (Checkpoint::open(&demo()).unwrap(), Checkpoint::open(model).unwrap());
    let table = source.spec.family.table();
    let read = |checkpoint: &Checkpoint, id| checkpoint.tensor(id).unwrap().read_all().unwrap();
    let mut error = 0.0;
    for id in source.spec.tensor_ids().into_iter().filter(|id| id.layer.is_some() && id.role.is_matrix()) {
        let weights = &imatrix.entries[&table.gguf_name(id).unwrap()].mean_squares;
        let pairs = read(&source, id).into_iter().zip(read(&model, id));
        for ((left, right), weight) in pairs.zip(weights.iter().cycle()) {
            error += f64::from(weight * (left - right).powi(2));
        }
    }
    error
}

/// The files of a folder with their bytes, but for the empty lock.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| !path.ends_with("lock"));
    files.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

/// Starts a run and sends it a signal once a layer is done; its exit code, if it ended by itself.
fn stopped_after(layer: usize, signal: &str, model: &Path, out: &Path) -> Option<i32> {
    let mut child = Command::new(binary::path())
        .args(["calibrate".as_ref(), model.as_os_str(), "--tokens".as_ref(), "1024".as_ref()])
        .args(["--out".as_ref(), out.as_os_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = out.join(format!("layer-{layer:03}.safetensors"));
    let started = Instant::now();
    while !file.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "layer {layer} is never done");
        thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    child.wait().unwrap().code()
}

#[test]
fn stopped_runs_go_on_and_end_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let model = fixture(SMOLLM2);
    made(&model, &["--tokens", "1024", "--threads", "1"], &whole);

    assert_eq!(stopped_after(3, "-INT", &model, &stopped), Some(130));
    assert!(!stopped.join("layer-029.safetensors").exists(), "it was stopped in time");
    // what ends a job of a pipeline
    assert_eq!(stopped_after(7, "-TERM", &model, &stopped), Some(130));
    assert_eq!(stopped_after(12, "-KILL", &model, &stopped), None);
    assert!(!stopped.join("output.safetensors").exists(), "it was stopped in time");
    let record = made(&model, &["--tokens", "1024"], &stopped);
    assert!(record["reused_layers"].as_u64().unwrap() >= 13, "{record}");
    assert!(files(&whole) == files(&stopped));
}

#[test]
fn tables_tell_widths_and_influence_and_a_second_run_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = ["demo".as_ref(), "--format".as_ref(), "csv".as_ref(), "--out".as_ref(), out.as_os_str()];
    let first = run(&arguments);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let rows: Vec<Vec<&str>> = first.stdout.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5);
    for (layer, row) in rows[1..].iter().enumerate() {
        assert_eq!(row[..5], [layer.to_string().as_str(), "160", "160", "160", "256"]);
        assert!((0.0..1.0).contains(&row[5].parse::<f64>().unwrap()));
    }
    assert!(first.stderr.contains("tokens/s") && first.stderr.contains("built-in"), "{}", first.stderr);
    let second = run(&arguments);
    assert_eq!(second.stdout, first.stdout);
    assert!(second.stderr.contains("4 of 4 layers were there"), "{}", second.stderr);

    let path = out.join("layer-001.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let third = run(&arguments);
    assert_eq!(third.stdout, first.stdout);
    assert!(third.stderr.contains("layer-001.safetensors was damaged"), "{}", third.stderr);
}

#[test]
fn the_cache_is_where_the_environment_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary::path())
        .args(["calibrate", "demo", "--tokens", "512", "--json"])
        .env("SECATEUR_CACHE", folder.path())
        .output()
        .unwrap();
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = Path::new(record["folder"].as_str().unwrap());
    assert!(found.starts_with(folder.path().join("statistics")), "{}", found.display());
    let name = found.file_name().unwrap().to_str().unwrap();
    assert!(record["fingerprint"].as_str().unwrap().starts_with(name));
    let checkpoint = Checkpoint::open(&demo()).unwrap();
    let statistics = Statistics::open(found, &checkpoint, &Silent).unwrap();
    let down: InputMoments = statistics.layer(3).unwrap().site(Site::FfnDown).unwrap().clone();
    assert_eq!((down.width(), down.tokens()), (256, 512));
}

#[test]
fn bad_input_is_told_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (empty, short) = (file("empty.txt", b""), file("short.txt", b"Emma was rich."));
    let latin = file("latin.txt", b"caf\xe9 au lait");
    let textless = folder.path().join("textless");
    fs::create_dir(&textless).unwrap();
    let missing = folder.path().join("missing.txt");
    for (text, words) in [
        (&empty, "the text has 0 tokens"),
        (&short, "at least one sequence of 256"),
        (&latin, "byte 3 is invalid"),
        (&textless, "no text files"),
        (&missing, "missing.txt"),
    ] {
        refused(3, words, &["demo".as_ref(), "--text".as_ref(), text.as_os_str()]);
    }
    refused(2, "less than one sequence of 256", &["demo", "--tokens", "255"]);
    let untokenized = in_tests("golden/models/llama");
    refused(3, "has no tokenizer", &[untokenized.as_os_str()]);

    let taken = folder.path().as_os_str();
    refused(2, "holds no statistics", &["demo".as_ref(), "--out".as_ref(), taken]);
    let out = folder.path().join("out");
    made(&demo(), &["--tokens", "256"], &out);
    let other: [&OsStr; 5] =
        ["demo".as_ref(), "--tokens".as_ref(), "512".as_ref(), "--out".as_ref(), out.as_os_str()];
    refused(2, "statistics of another text", &other);
    let nowhere = folder.path().join("no/such/folder/imatrix.gguf");
    refused(3, "imatrix.gguf", &["demo".as_ref(), "--imatrix".as_ref(), nowhere.as_os_str()]);
}

fn refused<S: AsRef<OsStr>>(code: i32, words: &str, arguments: &[S]) {
    let ran = run(arguments);
    assert_eq!(ran.code, code, "{words}: {}", ran.stderr);
    assert!(ran.stderr.contains(words), "`{words}` is not in: {}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
}
