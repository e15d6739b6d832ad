//! `check`: what a pipeline trusts.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;

use secateur_tests::binary::{self, Ran, compress};
use serde_json::Value;

fn artifact(folder: &Path, name: &str, options: &[&str]) -> String {
    let out = folder.join(name);
    compress(Path::new("demo"), options, &out);
    out.to_str().unwrap().to_owned()
}

/// Outside of GitHub Actions, wherever the tests run.
fn check(arguments: &[&str]) -> Ran {
    binary::run_with(&[&["check"], arguments].concat(), &[("GITHUB_STEP_SUMMARY", "".as_ref())])
}

#[test]
fn missed_budgets_are_named_and_end_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = artifact(folder.path(), "run", &["--max-size", "600kB"]);
    let kept = check(&[
        &run,
        "--max-size",
        "600kB",
        "--max-kld",
        "0.5",
        "--max-memory",
        "1GB",
        "--min-decode",
        "1",
        "--profile",
        "raspberry-pi-5-8gb",
    ]);
    assert_eq!((kept.code, kept.stderr.as_str()), (0, ""));
    assert_eq!(kept.stdout.matches(" kept ").count(), 4, "{}", kept.stdout);
    let junit = folder.path().join("checks.xml");
    let missed = check(&[
        &run,
        "--max-size",
        "500kB",
        "--max-kld",
        "0.000001",
        "--min-decode",
        "1e9",
        "--profile",
        "raspberry-pi-5-8gb",
        "--junit",
        junit.to_str().unwrap(),
    ]);
    assert_eq!(missed.code, 1);
    for limit in ["max-size", "max-kld", "min-decode"] {
        assert!(missed.stderr.contains(&format!("missed: {limit}: found")), "{}", missed.stderr);
    }
    assert!(!missed.stdout.contains("::error"), "that is for GitHub");
    let xml = fs::read_to_string(junit).unwrap();
    assert_eq!((xml.matches("<testcase").count(), xml.matches("<failure").count()), (3, 3), "{xml}");
}

#[test]
fn github_gets_a_summary_and_annotations() {
    let folder = tempfile::tempdir().unwrap();
    let run = artifact(folder.path(), "run", &["--type", "q4_0"]);
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let environment = [("GITHUB_STEP_SUMMARY", summary.as_os_str())];
    let ran = binary::run_with(&["check", &run, "--max-size", "1kB"], &environment);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.lines().any(|line| line.starts_with("::error title=secateur check::")),
        "{}",
        ran.stdout
    );
    let written = fs::read_to_string(&summary).unwrap();
    assert!(written.starts_with("before\n### secateur check: 1 of 1 checks missed"), "{written}");
    // a document stays a document
    let ran = binary::run_with(&["check", &run, "--max-size", "1kB", "--json"], &environment);
    let record: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((record["checks"][0]["kept"].as_bool(), ran.stderr.contains("::error")), (Some(false), true));
}

#[test]
fn a_worse_run_is_a_regression_and_the_same_run_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let good = artifact(folder.path(), "good", &["--max-size", "700kB"]);
    let bad = artifact(folder.path(), "bad", &["--max-size", "540kB"]);
    let same = check(&[&good, "--against", &good]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let baseline = folder.path().join("baseline.json");
    fs::copy(Path::new(&good).join("run.json"), &baseline).unwrap();
    let worse = check(&[&bad, "--against", baseline.to_str().unwrap()]);
    assert_eq!(worse.code, 1);
    assert!(worse.stderr.contains("missed: kld against the baseline"), "{}", worse.stderr);
    assert!(worse.stdout.contains("paired over"), "{}", worse.stdout);
    // the other way round only the size is worse
    let larger = check(&[&good, "--against", &bad]);
    assert_eq!(larger.code, 1);
    assert!(larger.stderr.starts_with("missed: size against the baseline"), "{}", larger.stderr);
    assert_eq!(larger.stderr.lines().count(), 1, "{}", larger.stderr);
}

#[test]
fn what_cannot_be_judged_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let plain = artifact(folder.path(), "plain", &["--type", "q4_0"]);
    let none = check(&[&plain, "--max-kld", "0.1"]);
    assert_eq!((none.code, none.stderr.contains("was not measured")), (3, true), "{}", none.stderr);
    let none = check(&[&plain]);
    assert_eq!(none.code, 2, "nothing to check is a mistake: {}", none.stderr);
    let none = check(&["demo", "--max-size", "1MB"]);
    assert_eq!((none.code, none.stderr.contains("`demo` is no run")), (2, true), "{}", none.stderr);
    let none = check(&[&plain, "--min-decode", "5"]);
    assert_eq!((none.code, none.stderr.contains("--profile")), (2, true), "{}", none.stderr);
    let alone = folder.path().join("alone.json");
    fs::copy(Path::new(&plain).join("run.json"), &alone).unwrap();
    let alone = alone.to_str().unwrap();
    let none = check(&[alone, "--min-decode", "5", "--profile", "raspberry-pi-5-8gb"]);
    assert_eq!((none.code, none.stderr.contains("record without its model")), (3, true), "{}", none.stderr);
    fs::write(Path::new(&plain).join("model.gguf"), b"GGUF").unwrap();
    let none = check(&[&plain, "--max-size", "1MB"]);
    assert_eq!((none.code, none.stderr.contains("not the file")), (3, true), "{}", none.stderr);
}

#[test]
fn compress_has_the_same_gates_and_its_report_tells_of_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ran = |options: &[&str]| {
        let all = [&["compress", "demo", "--out", out.to_str().unwrap()], options].concat();
        binary::run(&all)
    };
    let device = ["--profile", "raspberry-pi-5-8gb", "--min-decode", "1e9"];
    // with a type, a device judges and decides nothing
    let typed = ["--type", "q4_0", "--rounding", "gptq", "--max-size", "700kB", "--max-kld", "0.000001"];
    let missed = ran(&[&typed, &device[..]].concat());
    assert_eq!(missed.code, 1, "{}", missed.stderr);
    for limit in ["max-kld", "min-decode"] {
        assert!(missed.stderr.contains(&format!("budget missed: {limit}")), "{}", missed.stderr);
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("2 of 3 budgets") && page.contains("On Raspberry Pi 5"), "{page}");
    let text = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(text.contains("| max-kld | MISSED |") && text.contains("| max-size | kept |"), "{text}");
    // the same run is judged the same afterwards
    let run = out.to_str().unwrap();
    let later = check(&[&[run, "--max-size", "700kB", "--max-kld", "0.000001"], &device[..]].concat());
    assert_eq!((later.code, later.stderr.lines().count()), (1, 2), "{}", later.stderr);
    let none = ran(&["--type", "q4_0", "--max-kld", "0.1"]);
    assert_eq!((none.code, none.stderr.contains("no divergence is measured")), (2, true), "{}", none.stderr);
}
