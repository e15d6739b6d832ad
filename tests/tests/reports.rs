//! The report of an artifact: the same for the same run, and read by a real browser where there is one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;

use secateur_tests::binary::compress;
use secateur_tests::browser::{self, Browser, Screen};
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
fn each_text_that_is_named_is_told_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let texts =
        [("novel.txt", "It is a truth universally acknowledged. "), ("<sums>.txt", "2 + 2 = 4; 3 + 4 = 7; ")];
    let mut options =
        vec!["--type".to_owned(), "q4_k".to_owned(), "--rounding".to_owned(), "weighted".to_owned()];
    for (name, words) in texts {
        let path = folder.path().join(name);
        fs::write(&path, words.repeat(400)).unwrap();
        options.extend(["--text".to_owned(), path.display().to_string()]);
    }
    let out = folder.path().join("out");
    compress(Path::new("demo"), &options.iter().map(String::as_str).collect::<Vec<_>>(), &out);
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let quality = &run["quality"];
    let domains = quality["domains"].as_array().unwrap();
    assert_eq!(
        domains.iter().map(|domain| domain["text"].as_str().unwrap()).collect::<Vec<_>>(),
        texts.map(|text| text.0)
    );
    let number = |value: &Value| value.as_f64().unwrap();
    let tokens: f64 = domains.iter().map(|domain| number(&domain["scored_tokens"])).sum();
    assert_eq!(tokens, number(&quality["scored_tokens"]));
    let whole: f64 = domains
        .iter()
        .map(|domain| number(&domain["divergence"]["value"]) * number(&domain["scored_tokens"]))
        .sum();
    assert!((whole / tokens - number(&quality["divergence"]["value"])).abs() < 1e-9);
    let [novel, sums] = [0, 1].map(|index: usize| number(&domains[index]["source_bits_per_byte"]["value"]));
    assert!(novel < sums, "the demo model has read novels: {novel} {sums}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("&lt;sums&gt;.txt") && !page.contains("<sums>"));
}

/// Whether what the chosen plan tells is to be seen.
const TOLD: &str = "return getComputedStyle([...document.querySelectorAll('.plan')].pop().querySelector('.told')).visibility";

#[test]
fn a_browser_shows_the_report_tells_a_plan_that_is_pointed_at_and_prints() {
    if !browser::is_installed() {
        return; // the unit tests of the page remain
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let device = ["--profile", "raspberry-pi-5-8gb", "--max-size", "600kB", "--evaluations", "4"];
    compress(Path::new("demo"), &device, &out);
    let page = out.join("report.html");
    let phone = Screen { width: 390, height: 844, dark: true };
    let desk = Screen { width: 1280, height: 900, dark: false };
    let mut papers = Vec::new();
    for (name, screen) in [("phone", phone), ("desk", desk)] {
        let browser = Browser::open(&folder.path().join(name), screen);
        browser.show(&page);
        assert_eq!(browser.ask("return document.querySelectorAll('.cell').length"), 29);
        let sideways = "const page = document.documentElement; return page.scrollWidth > page.clientWidth";
        assert_eq!(browser.ask(sideways), false, "{name}: the page as a whole does not scroll sideways");
        assert_eq!(browser.ask(TOLD), "hidden");
        browser.ask("[...document.querySelectorAll('.plan')].pop().focus()");
        assert_eq!(browser.ask(TOLD), "visible", "{name}: by keyboard or tap");
        browser.ask("document.activeElement.blur()");
        assert_eq!(browser.ask(TOLD), "hidden");
        browser.point_at(".plan:last-of-type circle");
        assert_eq!(browser.ask(TOLD), "visible", "{name}");
        papers.push(browser.ask("return getComputedStyle(document.body).backgroundColor"));
        assert!(browser.printed().starts_with(b"%PDF-"));
        let complaints = browser.complaints();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
    assert_eq!(papers, ["rgb(21, 24, 27)", "rgb(255, 255, 255)"]);
}
