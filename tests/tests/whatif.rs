//! `whatif` and `profiles`, as a user runs them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;

use secateur_tests::binary::{self, Ran};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge;
use serde_json::{Value, json};

fn json(arguments: &[&str]) -> Value {
    let ran = binary::run(arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Exit code 2 and all the words in the message.
fn refused(arguments: &[&str], words: &[&str]) {
    let Ran { code, stderr, .. } = binary::run(arguments);
    assert_eq!(code, 2, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in: {stderr}");
    }
}

fn rows(record: &Value) -> &Vec<Value> {
    record["rows"].as_array().unwrap()
}

#[test]
fn there_is_a_row_for_every_combination() {
    let model = fixture(SMOLLM2);
    let record = json(&[
        "whatif",
        model.to_str().unwrap(),
        "--profile",
        "raspberry-pi-5-8gb",
        "--profile",
        "apple-m2-max-cpu",
        "--type",
        "q4_0",
        "--type",
        "q8_0",
        "--context",
        "512,4096",
        "--prompt",
        "256",
        "--json",
    ]);
    assert_eq!(rows(&record).len(), 8);
    for row in rows(&record) {
        assert!(row["decode_tokens_per_second"].as_f64().unwrap() > 10.0, "{row}");
        assert!(row["memory_bytes"].as_u64() > row["file_bytes"].as_u64(), "{row}");
        assert_eq!(row["basis"], "measured");
    }
}

#[test]
fn the_size_is_that_of_the_file_that_compress_plans() {
    for name in [SMOLLM2, GEMMA] {
        let model = fixture(name);
        let model = model.to_str().unwrap();
        for tensor_type in ["q4_k_m", "q8_0"] {
            let record = json(&["whatif", model, "--profile", "intel-n100", "--type", tensor_type, "--json"]);
            let plan = json(&["compress", model, "--type", tensor_type, "--dry-run", "--json"]);
            assert_eq!(rows(&record)[0]["file_bytes"], plan["gguf_bytes"], "{name} {tensor_type}");
        }
    }
}

/// Processor time, user and system, of `secateur whatif` as the shell counts it: other programs run beside the tests.
#[cfg(unix)]
fn processor_seconds(arguments: &str) -> f64 {
    let command = format!("'{}' {arguments} > /dev/null && times", binary::path().display());
    let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // the second line is that of the children: `0m0.042s 0m0.008s`
    let times = text.lines().nth(1).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap()
    };
    times.split_whitespace().map(seconds).sum()
}

#[test]
#[cfg(unix)]
fn twenty_profiles_answer_within_fifty_milliseconds() {
    let ids = json(&["profiles", "list", "--json"]);
    let devices = ids["devices"].as_array().unwrap();
    let ids: Vec<&str> = devices.iter().map(|row| row["id"].as_str().unwrap()).take(20).collect();
    let arguments = format!("whatif '{}' --profile {}", fixture(SMOLLM2).display(), ids.join(","));
    let fastest = (0..5).map(|_| processor_seconds(&arguments)).fold(f64::INFINITY, f64::min);
    assert!(fastest < 0.05, "{fastest} s");
}

#[test]
fn a_missed_budget_is_exit_code_one() {
    let ran = binary::run(&[
        "whatif",
        "--params",
        "7B",
        "--profile",
        "raspberry-pi-5-8gb",
        "--type",
        "q4_0",
        "--min-decode",
        "50",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("min-decode"), "{}", ran.stdout);
}

#[test]
fn energy_is_limited_where_the_power_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    let shown = binary::run(&["profiles", "show", "raspberry-pi-5-8gb"]).stdout;
    let ask = |profile: &str, joules: f64| {
        let joules = joules.to_string();
        binary::run(&["whatif", "demo", "--profile", profile, "--max-energy", &joules, "--json"])
    };
    let record = json(&["whatif", "demo", "--profile", "raspberry-pi-5-8gb", "--json"]);
    let found = rows(&record)[0]["joules_per_token"].as_f64().unwrap();
    assert_eq!(ask("raspberry-pi-5-8gb", 1.01 * found).code, 0);
    assert_eq!(ask("raspberry-pi-5-8gb", 0.99 * found).code, 1);
    let without = shown.lines().filter(|line| !line.trim_start().starts_with("power:"));
    fs::write(&path, without.collect::<Vec<_>>().join("\n")).unwrap();
    let ran = ask(path.to_str().unwrap(), found);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("does not say what power"), "{}", ran.stdout);
}

#[test]
fn a_bare_config_of_a_model_that_we_cannot_cut_has_a_price() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = json!({
        "model_type": "falcon_h1", "hidden_size": 1024, "intermediate_size": 2048, "num_hidden_layers": 36,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 32784,
        "mamba_d_ssm": 1536, "mamba_d_state": 128, "mamba_n_heads": 24, "mamba_n_groups": 1, "mamba_d_conv": 4,
    });
    fs::write(&path, config.to_string()).unwrap();
    let record = json(&[
        "whatif",
        path.to_str().unwrap(),
        "--profile",
        "raspberry-pi-5-8gb",
        "--type",
        "q4_0",
        "--json",
    ]);
    assert_eq!(record["parameters"], 521_411_104);
}

#[test]
fn an_image_adds_its_tokens_to_the_prompt() {
    let record = json(&[
        "whatif",
        "--params",
        "3B",
        "--profile",
        "dimensity-9300",
        "--type",
        "q4_0",
        "--image",
        "1080x2400",
        "--prompt",
        "100",
        "--json",
    ]);
    assert_eq!(record["prompt"], 1864);
    assert_eq!(record["image"][0]["grid"], "2:4");
}

#[test]
fn a_sweep_over_the_context_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chart.svg");
    let chart = file.to_str().unwrap();
    json(&["whatif", "demo", "--profile", "intel-n100", "--context", "256", "--chart", chart, "--json"]);
    let svg = fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("<polyline"));
}

#[test]
fn wrong_questions_are_refused_with_what_would_be_right() {
    refused(&["whatif", "demo", "--profile", "rasberry-pi-5"], &["raspberry-pi-5-"]);
    refused(&["whatif", "demo", "--profile", "intel-n100", "--type", "q4_9"], &["q4_9", "q4_0"]);
    refused(
        &["whatif", "demo", "--profile", "intel-n100", "--context", "100000000"],
        &["beyond the model's"],
    );
    refused(
        &["whatif", "demo", "--profile", "intel-n100", "--runtime", "mlx"],
        &["has no runtime", "llama.cpp"],
    );
    refused(&["whatif", "--params=-7B", "--profile", "intel-n100"], &["--params"]);
}

#[test]
fn profiles_that_say_nonsense_are_refused_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    let good = binary::run(&["profiles", "show", "raspberry-pi-5-8gb"]).stdout;
    let check = |text: &str, words: &[&str]| {
        fs::write(&path, text).unwrap();
        refused(&["profiles", "check", path.to_str().unwrap()], words);
    };
    fs::write(&path, &good).unwrap();
    assert_eq!(binary::run(&["profiles", "check", path.to_str().unwrap()]).code, 0);
    check(&good.replace("value: 17.07, unit: GB/s,", "value: 17.07,"), &["unit", "line"]);
    check(
        &good.replace("value: 17.07, unit: GB/s", "value: 17.07, unit: MB/s"),
        &["`MB/s`, expected `GB/s`"],
    );
    check(&good.replace("value: 17.07", "value: -17.07"), &["-17.07", "expected"]);
    check(&good.replace("chip: BCM2712", "chip: BCM2712\n  colour: red"), &["colour"]);
    check(&good.replace("usable_memory: {value: 7.4", "usable_memory: {value: 74"), &["usable_memory"]);
}

/// The `lacks` of each device, by its id.
fn lacks(record: &Value, profile: &str) -> String {
    let row = rows(record).iter().find(|row| row["profile"] == profile).unwrap();
    assert_eq!(row["runs"].as_bool().unwrap(), row["lacks"].as_array().unwrap().is_empty());
    row["lacks"].to_string()
}

#[test]
fn devices_are_matched_by_what_models_need() {
    let model = fixture(GEMMA);
    let model = model.to_str().unwrap();
    let all = json(&["profiles", "match", model, "--json"]);
    assert_eq!(lacks(&all, "raspberry-pi-5-8gb"), "[]");
    let zero = json(&["profiles", "match", model, "--context", "32768", "--json"]);
    assert!(lacks(&zero, "raspberry-pi-zero-2-w").contains("memory: needs"));
    let i8mm = json(&["profiles", "match", model, "--simd", "i8mm", "--json"]);
    assert_eq!(lacks(&i8mm, "snapdragon-8-gen-3"), "[]");
    assert!(lacks(&i8mm, "raspberry-pi-5-8gb").contains("instructions: needs i8mm, cortex-a76 has dotprod"));
    // i8mm includes dotprod
    let dotprod = json(&["profiles", "match", model, "--simd", "dotprod", "--json"]);
    assert_eq!(lacks(&dotprod, "snapdragon-8-gen-3"), "[]");
    let seeing =
        json(&["profiles", "match", model, "--modality", "image", "--runtime", "rknn-llm", "--json"]);
    assert!(lacks(&seeing, "raspberry-pi-5-8gb").contains("modality: no image input"));
    assert!(lacks(&seeing, "snapdragon-8-gen-3").contains("runtime: needs rknn-llm, has llama.cpp"));
    refused(&["profiles", "match", model, "--simd", "mmx"], &["`mmx` is no instruction set"]);
}

#[test]
fn models_are_matched_to_a_device_too() {
    let [small, large] = [SMOLLM2, GEMMA].map(fixture);
    let [small, large] = [&small, &large].map(|path| path.to_str().unwrap());
    let record = json(&["profiles", "match", large, small, "--by", "device", "--json"]);
    let pairs: Vec<_> = rows(&record).chunks(2).collect();
    assert!(
        pairs
            .iter()
            .all(|pair| pair[0]["profile"] == pair[1]["profile"] && pair[0]["model"] != pair[1]["model"])
    );
}

/// A fit to rows of a device predicts those rows, through the profile that it writes.
#[test]
fn a_table_of_measurements_becomes_a_profile() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("measurements.tsv");
    let profile = folder.path().join("mine.yaml");
    let head = "device\tsoc\tbackend\tengine\tthreads\tmodel\tparams_b\tquant\tfile_gib\tmetric\tvalue\tunit\tsource_url";
    let row = |quant: &str, metric: &str, value: f64| {
        format!("board\t\tCPU\tllama.cpp\t4\tLlama-3.2-1B\t1.236\t{quant}\t\t{metric}\t{value}\ttok/s\there")
    };
    let rows = [row("Q4_0", "tg128", 20.0), row("Q8_0", "tg128", 11.5), row("Q4_0", "pp512", 90.0)];
    fs::write(&table, format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    let ran = binary::run(&[
        "profiles",
        "fit",
        table.to_str().unwrap(),
        "--id",
        "mine",
        "--out",
        profile.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let record = json(&["profiles", "score", table.to_str().unwrap(), "--json"]);
    assert_eq!(record["rows"], 3);
    assert_eq!(binary::run(&["profiles", "check", profile.to_str().unwrap()]).code, 0);
}

/// `secateur profiles schema > docs/profile.schema.json` writes it anew.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profile.schema.json");
    let published: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(json(&["profiles", "schema"]), published);
    assert_eq!(published["additionalProperties"], false);
}

/// What llama-bench would report, told by stock llama.cpp itself.
#[test]
fn a_report_of_llama_bench_becomes_a_profile_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (report, profile) = (folder.path().join("bench.json"), folder.path().join("here.yaml"));
    let model = fixture(SMOLLM2);
    let entries = judge::speed(&model, "Q4_1", 5).unwrap();
    fs::write(&report, entries.to_string()).unwrap();
    let [report, profile] = [&report, &profile].map(|path| path.to_str().unwrap());
    let ran = binary::run(&["profiles", "calibrate", "--bench", report, "--out", profile]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("fitted to 2 speeds"), "{}", ran.stderr);
    let error = ran.stderr.split("median error ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    // of two speeds on one thread, which the constants of one type can both meet
    assert!(error.parse::<f64>().unwrap() < 10.0, "{}", ran.stderr);
    assert_eq!(binary::run(&["profiles", "check", profile]).code, 0);
}

/// A program that prints the example of llama-bench's own documentation: the format is tested, not a speed.
#[test]
#[cfg(unix)]
fn llama_bench_is_run_where_it_is_given_or_on_the_path() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/llama-bench.json");
    let program = folder.path().join("llama-bench");
    let script = |body: &str| {
        fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let asked = folder.path().join("asked");
    script(&format!("echo \"$@\" > '{}'; cat '{}'", asked.display(), documented.display()));
    let profile = folder.path().join("here.yaml");
    let [program_path, profile] = [&program, &profile].map(|path| path.to_str().unwrap());
    let calibrate = ["profiles", "calibrate", "--model", "any.gguf", "--out", profile];
    let ran = binary::run(&[&calibrate[..], &["--llama-bench", program_path]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("fitted to 2 speeds of llama-bench"), "{}", ran.stderr);
    assert!(fs::read_to_string(&asked).unwrap().contains("-o json"));
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output =
        std::process::Command::new(binary::path()).args(calibrate).env("PATH", path).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("fitted to 2 speeds of llama-bench"));
    script("echo no such model >&2; exit 1");
    let failed = binary::run(&[&calibrate[..], &["--llama-bench", program_path]].concat());
    assert_eq!(failed.code, 3, "{}", failed.stderr);
    assert!(failed.stderr.contains("no such model"), "{}", failed.stderr);
}

#[test]
fn without_llama_bench_the_profile_says_that_no_runtime_was_measured() {
    let ran = binary::run(&["profiles", "calibrate"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("our own kernels"), "{}", ran.stderr);
    assert!(ran.stdout.contains("basis: derived") && !ran.stdout.contains("llama-bench on this machine"));
}
