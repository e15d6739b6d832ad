//! The report of an artifact: the same for the same run, and read by a real browser where there is one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;
use std::process::Command;

use secateur_tests::binary::compress;
use serde_json::Value;

#[test]
fn a_report_tells_what_run_json_tells_and_is_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let made = |threads: &str| {
        let out = folder.path().join(threads);
        compress(Path::new("demo"), &["--max-size", "620kB", "--threads", threads], &out);
        out
    };
    let (one, two) = (made("1"), made("2"));
    for name in ["report.html", "report.md", "README.md"] {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(two.join(name)).unwrap(), "{name}");
    }
    let sums = fs::read_to_string(one.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("report.html") && sums.contains("report.md"), "{sums}");
    let run: Value = serde_json::from_slice(&fs::read(one.join("run.json")).unwrap()).unwrap();
    let divergence = format!("{:.4}", run["quality"]["divergence"]["value"].as_f64().unwrap());
    let page = fs::read_to_string(one.join("report.html")).unwrap();
    for told in [&divergence, "Once upon a time", "max-size=620000", run["quality"]["text"].as_str().unwrap()]
    {
        assert!(page.contains(told), "{told}");
    }
    let passages = run["quality"]["passages"].as_array().unwrap();
    assert_eq!(passages.len(), run["quality"]["divergence_of_chunk"].as_array().unwrap().len());
    let summary = fs::read_to_string(one.join("report.md")).unwrap();
    assert!(summary.contains("## Passage by passage"), "{summary}");
    // 4 layers of 7 matrices, and the embedding
    assert_eq!(page.matches("class=\"cell\"").count(), 29);

    let card = fs::read_to_string(one.join("README.md")).unwrap();
    let yaml = card.strip_prefix("---\n").unwrap().split("\n---\n").next().unwrap();
    let metadata: Value = serde_saphyr::from_str(yaml).unwrap();
    let metrics = metadata["model-index"][0]["results"][0]["metrics"].as_array().unwrap();
    assert_eq!(metrics[0]["value"], run["quality"]["divergence"]["value"]);
    assert_eq!(metadata["license"], "cc0-1.0");
}

#[test]
fn a_browser_shows_the_report_without_complaint_and_prints_it() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(browser) = names.into_iter().find(|name| is_installed(name)) else {
        return; // the unit tests of the page remain
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    compress(Path::new("demo"), &["--type", "q4_k_m"], &out);
    let page = format!("file://{}", out.join("report.html").canonicalize().unwrap().display());
    let pdf = folder.path().join("report.pdf");
    let ask = |what: &str| {
        Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            .arg("--enable-logging=stderr")
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .args([what, &page])
            .output()
            .unwrap()
    };
    let shown = ask("--dump-dom");
    let (dom, log) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(dom.contains("What every matrix became"), "{log}");
    assert!(!log.contains(":CONSOLE"), "{log}");
    ask(&format!("--print-to-pdf={}", pdf.display()));
    assert!(fs::read(pdf).unwrap().starts_with(b"%PDF-"));
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success())
}
