//! `eval` on real models, judged by stock llama.cpp.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use secateur_model::atomic_file::AtomicFile;
use secateur_model::gguf::{Gguf, GgufLayout};
use secateur_model::stored::{NewTensor, StoredTensor};
use secateur_model::tokenizer::TokenizerKind;
use secateur_model::{Checkpoint, Tokenizer};
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

/// Of an F16 model, so that nothing but keys and values differs. Few tokens carry most of it, and those are others where sums are taken in another
/// order: so within what the text scatters. Without turned heads it would be three to four times as much.
#[test]
fn smaller_caches_lose_what_they_lose_in_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let parent = quantize(&fixture(SMOLLM2), folder.path(), "F16");
    let (text, base) = (judge_text(), folder.path().join("base"));
    judge::perplexity(&parent, &text, CHUNKS, Some(&base)).unwrap();
    for cache in ["q4_0", "q8_0"] {
        let judged = judge::divergence_with_cache(&parent, &base, cache).unwrap();
        let chunks = ["--chunks".as_ref(), "4".as_ref(), "--text".as_ref(), text.as_path()];
        let cached = ["--against".as_ref(), &*parent, "--cache-type".as_ref(), cache.as_ref()];
        let ours = eval(&parent, &[&chunks[..], &cached].concat());
        let of = |name: &str| number(&ours, &format!("/divergences/0/mean/{name}"));
        let (mean, scatter) = (of("value"), of("error").hypot(judged.mean_error));
        assert!((mean - judged.mean).abs() < 3.0 * scatter, "{cache}: {mean} here, {} there", judged.mean);
        assert!(scatter < 0.15 * mean, "{cache}: {scatter} of {mean} says nothing");
        // both are counted on so many tokens, of which other ones tip over on each processor
        let same_top = |part: &str| number(&ours, &format!("/divergences/0/same_top/{part}"));
        let scatter = std::f64::consts::SQRT_2 * same_top("error");
        let difference = same_top("value") - judged.same_top;
        assert!(difference.abs() < 3.0 * scatter, "{cache}: {} and {}", same_top("value"), judged.same_top);
    }
}

#[test]
fn heads_that_fill_no_blocks_are_not_cached_in_them() {
    let text = judge_text();
    let text = text.to_str().unwrap();
    let ran = binary::run(&["eval", "demo", "--text", text, "--chunks", "2", "--cache-type", "q8_0"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("heads of layer 0 have 40 numbers"), "{}", ran.stderr);
    assert!(ran.stderr.contains("use f16"), "{}", ran.stderr);
}

/// llama.cpp quantizes activations to 8 bit there, we do not: closer than this they need not be.
#[test]
fn perplexity_of_quantized_files_is_llama_cpps_to_one_percent() {
    for (name, count) in [(SMOLLM2, 8), (GEMMA, 6)] {
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

fn demo_gguf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/demo.gguf")
}

/// The pass rate of one token is its probability, and that is llama.cpp's.
#[test]
fn pass_rates_are_the_probabilities_that_llama_cpp_gives() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = "She was very";
    let probabilities = judge::next_token(&demo_gguf(), &[judge::Prompt::from(prompt)]).unwrap();
    let row = probabilities.iter().next().unwrap();
    let tokenizer = Checkpoint::open(&demo_gguf()).unwrap().tokenizer.unwrap();
    let mut by_probability: Vec<usize> = (0..row.len()).collect();
    by_probability.sort_by(|&left, &right| row[right].total_cmp(&row[left]));
    // a likely token and a rare one
    let tasks: Vec<(f32, String)> = [0, 8]
        .into_iter()
        .map(|rank| {
            let token = by_probability[rank];
            let text = String::from_utf8(tokenizer.bytes_of(token as u32)).unwrap();
            let pattern = format!("^{}$", text.replace('.', "\\."));
            (
                row[token],
                serde_json::json!({"prompt": prompt, "check": "regex", "answer": pattern}).to_string(),
            )
        })
        .collect();
    let file = folder.path().join("tasks.jsonl");
    let lines: Vec<&str> = tasks.iter().map(|(_, line)| line.as_str()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();

    let run = |seed: &str, threads: &str| {
        let options =
            ["--max-tokens", "1", "--passes", "25", "--cap", "5000", "--seed", seed, "--threads", threads];
        let mut arguments: Vec<&Path> = vec!["--pass-until".as_ref(), &file];
        arguments.extend(options.map(Path::new));
        eval("demo".as_ref(), &arguments)
    };
    let result = run("7", "2");
    for (task, (probability, _)) in tasks.iter().enumerate() {
        let of = |name: &str| number(&result, &format!("/tasks/{task}/{name}"));
        assert_eq!(of("passes"), 25.0);
        let probability = f64::from(*probability);
        // 25 passes: a standard error of 20 %, here three of them
        assert!((of("rate") / probability - 1.0).abs() < 0.6, "{result} but {probability}");
        assert!(of("interval/0") < of("rate") && of("rate") < of("interval/1"), "{result}");
        assert!(result["tasks"][task]["biased_rate"].is_null(), "only if asked for");
    }
    assert_eq!(result, run("7", "1"));
    assert_ne!(result["tasks"], run("8", "2")["tasks"]);
}

/// The demo model without its last tokens: the embedding loses their rows, the tokenizer its merges.
fn write_trimmed(target: &Path, vocabulary_size: usize) {
    let gguf = Gguf::open(&demo_gguf()).unwrap();
    let mut tokenizer = Tokenizer::from_gguf(&gguf.metadata).unwrap();
    tokenizer.tokens.truncate(vocabulary_size);
    let kept: HashSet<String> = tokenizer.tokens.iter().map(|token| token.text.clone()).collect();
    if let TokenizerKind::BytePair { merges, .. } = &mut tokenizer.kind {
        merges.retain(|(left, right)| kept.contains(&format!("{left}{right}")));
    }
    let mut metadata = gguf.metadata.clone();
    metadata.set("llama.vocab_size", vocabulary_size as u32);
    for (key, value) in tokenizer.to_gguf_metadata() {
        metadata.set(&key, value);
    }
    let rows = |shape: &[usize], name: &str| match name {
        "token_embd.weight" => vec![vocabulary_size, shape[1]],
        _ => shape.to_vec(),
    };
    let new = |tensor: &StoredTensor| NewTensor {
        name: tensor.name.clone(),
        shape: rows(&tensor.shape, &tensor.name),
        tensor_type: tensor.tensor_type,
    };
    let tensors: Vec<NewTensor> = gguf.tensors.iter().map(new).collect();
    let mut writer =
        GgufLayout::new(&metadata, &tensors).unwrap().start(AtomicFile::create(target).unwrap()).unwrap();
    for (tensor, new) in gguf.tensors.iter().zip(&tensors) {
        let bytes = gguf.files.map(tensor).unwrap();
        writer.begin(&tensor.name).unwrap();
        let length = bytes.len() / tensor.shape[0] * new.shape[0];
        writer.write_all(&bytes[..length]).unwrap();
    }
    writer.finish().unwrap().commit().unwrap();
}

/// The divergence of a trimmed child, from llama.cpp's logits of both and its tokens of both, with plain sums in double precision.
#[test]
fn a_trimmed_child_is_compared_over_the_tokens_that_both_have() {
    const KEPT: usize = 700;
    const CONTEXT: usize = 128;
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("trimmed.gguf");
    write_trimmed(&child, KEPT);
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/demo/held_out.txt"))
            .unwrap();
    let text: String = text.chars().take(3000).collect();
    let file = folder.path().join("text.txt");
    std::fs::write(&file, &text).unwrap();

    let options = ["--chunks", "1", "--context", "128", "--against", "demo", "--text"].map(Path::new);
    let result = eval(&child, &[&options[..], &[file.as_path()]].concat());

    let specials = judge::Specials { add: true, parse: false };
    let tokens = |model: &Path| judge::tokenize(model, &[&text], specials).unwrap().remove(0);
    let (of_parent, of_child) = (tokens(&demo_gguf())[..CONTEXT].to_vec(), tokens(&child));
    let tokenizer = Checkpoint::open(&demo_gguf()).unwrap().tokenizer.unwrap();
    // both start with the same bytes; the kept tokens have the same ids
    let starts = |tokens: &[u32]| -> Vec<usize> {
        let lengths = tokens.iter().map(|&token| tokenizer.bytes_of(token).len());
        std::iter::once(0)
            .chain(lengths.scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            }))
            .collect()
    };
    let (parent_starts, child_starts) = (starts(&of_parent), starts(&of_child));
    let end = child_starts.iter().position(|&start| start >= parent_starts[CONTEXT]).unwrap();
    assert!(end > CONTEXT, "the child needs more tokens");
    let logits = |model: &Path, tokens: &[u32]| judge::logits(model, &[judge::Prompt::from(tokens)]).unwrap();
    let (parent_rows, child_rows) = (logits(&demo_gguf(), &of_parent), logits(&child, &of_child[..end]));
    let log_softmax = |row: &[f32]| -> Vec<f64> {
        let sum: f64 = row[..KEPT].iter().map(|&logit| f64::from(logit).exp()).sum();
        row[..KEPT].iter().map(|&logit| f64::from(logit) - sum.ln()).collect()
    };
    let mut divergences = Vec::new();
    for target in CONTEXT / 2 + 1..CONTEXT {
        let Some(found) = child_starts[..end].iter().position(|&start| start == parent_starts[target]) else {
            continue;
        };
        if of_child[found] != of_parent[target] {
            continue;
        }
        let p = log_softmax(parent_rows.iter().nth(target - 1).unwrap());
        let q = log_softmax(child_rows.iter().nth(found - 1).unwrap());
        divergences.push(p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>());
    }
    assert_eq!(number(&result, "/divergences/0/positions"), divergences.len() as f64);
    assert!(divergences.len() > 20, "{}", divergences.len());
    let mean = divergences.iter().sum::<f64>() / divergences.len() as f64;
    near("mean", number(&result, "/divergences/0/mean/value"), mean, 0.01);
    assert!(result["remarks"][0].as_str().unwrap().contains("700 tokens that both have"), "{result}");
    // the same bytes, but for tokens at the ends
    let bytes = |row: usize| number(&result, &format!("/predictions/{row}/bytes"));
    assert!((bytes(0) - bytes(1)).abs() < 16.0, "{result}");
    assert!(number(&result, "/predictions/1/tokens") > number(&result, "/predictions/0/tokens"));
}
