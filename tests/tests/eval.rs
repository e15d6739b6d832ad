//! `eval` on real models, judged by stock llama.cpp.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

use secateur_tests::binary;
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Chunks, Quantize};
use serde_json::Value;

const CHUNKS: Chunks = Chunks { count: 4, length: 512 };

fn judge_text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt")
}

/// Runs `eval MODEL …` and gives the record.
fn eval(model: &Path, options: &[&Path]) -> Value {
    let mut arguments = vec![Path::new("eval"), model, Path::new("--json")];
    arguments.extend(options);
    let ran = binary::run(&arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("--json prints JSON")
}

fn quantize(source: &Path, folder: &Path, file_type: &str) -> PathBuf {
    let target = folder.join(format!("{file_type}.gguf"));
    let how = Quantize { file_type, allow_requantize: true, ..Quantize::default() };
    judge::quantize(source, &target, how).unwrap();
    target
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is not in {value}"))
}

fn near(name: &str, ours: f64, judged: f64, tolerance: f64) {
    assert!((ours / judged - 1.0).abs() < tolerance, "{name}: {ours} here, {judged} in llama.cpp");
}

/// Between F16 models, since from quantized files llama.cpp quantizes what goes into a matrix product too. The child is the parent
/// through Q4_0 and back.
#[test]
fn divergence_is_llama_cpps_whoever_writes_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let parent = quantize(&fixture(SMOLLM2), folder.path(), "F16");
    let back = folder.path().join("back");
    std::fs::create_dir(&back).unwrap();
    let child = quantize(&quantize(&parent, folder.path(), "Q4_0"), &back, "F16");
    let text = judge_text();
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));

    let of_parent = judge::perplexity(&parent, &text, CHUNKS, Some(&theirs)).unwrap();
    let judged = judge::divergence(&child, &theirs).unwrap();
    let chunks = ["--chunks".as_ref(), "4".as_ref(), "--text".as_ref(), text.as_path()];
    let direct = eval(
        &child,
        &[&chunks[..], &["--against".as_ref(), &parent, "--save-base".as_ref(), &ours]].concat(),
    );
    near(
        "parent's perplexity",
        number(&direct, "/predictions/0/perplexity/value"),
        of_parent.perplexity,
        0.002,
    );
    near("child's perplexity", number(&direct, "/predictions/1/perplexity/value"), judged.perplexity, 0.002);

    let agree = |result: &Value| {
        let of = |name: &str| number(result, &format!("/divergences/0/{name}"));
        near("mean", of("mean/value"), judged.mean, 0.02);
        near("median", of("median/value"), judged.median, 0.05);
        near("99th percentile", of("percentile_99/value"), judged.percentile_99, 0.05);
        near("maximum", of("maximum"), judged.maximum, 0.05);
        assert!((of("same_top/value") - judged.same_top).abs() < 0.003, "{result}");
        assert!((of("log_perplexity_ratio/value") - judged.log_perplexity_ratio).abs() < 0.001, "{result}");
        assert!(of("correlation/value") > 0.95, "{result}");
        assert!(of("mean/error") > 0.0 && of("mean/error") < of("mean/value"), "{result}");
    };
    agree(&direct);
    let from_theirs = eval(&child, &[&chunks[..], &["--base".as_ref(), &theirs]].concat());
    agree(&from_theirs);
    let from_ours = eval(&child, &["--base".as_ref(), ours.as_path()]);
    agree(&from_ours);

    // and llama.cpp reads ours
    let judged_by_ours = judge::divergence(&child, &ours).unwrap();
    near("mean by our base", judged_by_ours.mean, judged.mean, 0.02);
    near("base perplexity", judged_by_ours.base_perplexity, of_parent.perplexity, 0.002);
}

/// llama.cpp quantizes activations to 8 bit there, we do not: closer than this they need not be.
#[test]
fn perplexity_of_quantized_files_is_llama_cpps_to_one_percent() {
    for (name, count) in [(SMOLLM2, 16), (GEMMA, 3)] {
        let chunks = Chunks { count, length: 512 };
        let judged = judge::perplexity(&fixture(name), &judge_text(), chunks, None).unwrap();
        let count = count.to_string();
        let result = eval(
            &fixture(name),
            &["--text".as_ref(), judge_text().as_path(), "--chunks".as_ref(), count.as_ref()],
        );
        near(name, number(&result, "/predictions/0/perplexity/value"), judged.perplexity, 0.01);
        let tokens = result.pointer("/predictions/0/tokens").and_then(Value::as_u64);
        assert_eq!(tokens, Some(judged.scored_tokens));
    }
}

#[test]
fn several_texts_and_any_number_of_threads() {
    let text = judge_text();
    let held_out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/held_out.txt");
    let with = |threads: &str| {
        let mut result = eval(
            "demo".as_ref(),
            &[
                "--text".as_ref(),
                &text,
                "--text".as_ref(),
                &held_out,
                "--against".as_ref(),
                "demo".as_ref(),
                "--chunks".as_ref(),
                "3".as_ref(),
                "--threads".as_ref(),
                threads.as_ref(),
            ],
        );
        for volatile in ["seconds", "tokens_per_second", "peak_memory"] {
            result.as_object_mut().unwrap().remove(volatile);
        }
        result
    };
    let alone = with("1");
    assert_eq!(alone["predictions"].as_array().unwrap().len(), 4);
    assert_eq!(number(&alone, "/divergences/1/mean/value"), 0.0);
    assert_eq!(number(&alone, "/divergences/1/same_top/value"), 1.0);
    assert_eq!(alone["context"], 256, "the demo model was trained for no more");
    assert_eq!(alone, with("3"));
}

/// The demo model's README tells what the network that trained it lost on this text: 1.482 bits per byte with a context of 256 that
/// is scored whole. Scored in its second half, a chunk is easier.
#[test]
fn bits_per_byte_are_those_of_the_text() {
    let held_out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/held_out.txt");
    let result = eval("demo".as_ref(), &["--text".as_ref(), &held_out]);
    let of = |name: &str| number(&result, &format!("/predictions/0/{name}"));
    let bits = of("perplexity/value").log2() * of("tokens") / of("bytes");
    near("bits per byte", of("bits_per_byte/value"), bits, 1e-9);
    // half of the file is scored, but for one token of each chunk
    let bytes = std::fs::metadata(&held_out).unwrap().len() as f64;
    assert!((of("bytes") / bytes - 0.5).abs() < 0.02, "{result}");
    assert!((1.35..1.482).contains(&of("bits_per_byte/value")), "{result}");
}
