//! `compare`, on artifacts, records and models that others made.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use secateur_tests::binary::{self, compress};
use secateur_tests::fixtures::{SMOLLM2, fixture};
use serde_json::Value;
use tempfile::TempDir;

/// Two artifacts of the demo under budgets, and one without a measurement; made once.
fn made() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, options) in [
            ("large", ["--max-size", "700kB"]),
            ("small", ["--max-size", "560kB"]),
            ("plain", ["--type", "q8_0"]),
        ] {
            compress(Path::new("demo"), &options, &folder.path().join(name));
        }
        folder
    });
    folder.path()
}

/// Copies of them that a test may change.
fn artifacts(folder: &Path) -> [String; 3] {
    ["large", "small", "plain"].map(|name| {
        let copy = folder.join(name);
        fs::create_dir(&copy).unwrap();
        for file in ["model.gguf", "run.json"] {
            fs::copy(made().join(name).join(file), copy.join(file)).unwrap();
        }
        copy.to_str().unwrap().to_owned()
    })
}

fn compare(arguments: &[&str]) -> Value {
    let ran = binary::run(&[&["compare", "--json"], arguments].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn row<'a>(comparison: &'a Value, name: &str) -> &'a Value {
    comparison["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

#[test]
fn artifacts_records_and_foreign_models_stand_in_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let [large, small, plain] = artifacts(folder.path());
    let alone = folder.path().join("alone.json");
    fs::copy(Path::new(&small).join("run.json"), &alone).unwrap();
    let alone = alone.to_str().unwrap();
    let foreign = fixture(SMOLLM2);
    let foreign = foreign.to_str().unwrap();
    let comparison =
        compare(&[&large, &small, &plain, alone, foreign, "--sort", "kld", "--baseline", &small]);
    let figures = |name: &str| row(&comparison, name)["figures"].clone();
    let run: Value = serde_json::from_slice(&fs::read(Path::new(&large).join("run.json")).unwrap()).unwrap();
    assert_eq!(figures(&large)["kld"]["value"], run["quality"]["divergence"]["value"]);
    assert_eq!(figures(&large)["kld"]["basis"], "measured");
    assert_eq!(figures(&small)["kld"], {
        let mut same = figures(alone)["kld"].clone();
        same["baseline"] = Value::Null;
        same
    });
    assert_eq!(figures(foreign)["size"]["value"], fs::metadata(foreign).unwrap().len() as f64);
    assert_eq!(figures(foreign)["kld"], Value::Null);
    assert!(figures(&large)["kld"]["best"].as_bool().unwrap());
    // the baseline's value is told where it can be compared
    assert_eq!(figures(&large)["kld"]["baseline"], figures(&small)["kld"]["value"]);
    let names: Vec<_> = comparison["rows"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names[0], &Value::from(large.as_str()));
    assert_eq!(row(&comparison, foreign)["pareto"], Value::Null);
    let notes = comparison["notes"].to_string();
    assert!(notes.contains("not known of") && notes.contains("kld"), "{notes}");
}

#[test]
fn what_is_measured_now_is_what_eval_measures() {
    let folder = tempfile::tempdir().unwrap();
    let [large, small, _] = artifacts(folder.path());
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt");
    let text = text.to_str().unwrap();
    let comparison = compare(&[&large, &small, "--text", text, "--against", "demo", "--chunks", "3"]);
    let model = Path::new(&small).join("model.gguf");
    let ran = binary::run(&[
        "eval",
        model.to_str().unwrap(),
        "--text",
        text,
        "--against",
        "demo",
        "--chunks",
        "3",
        "--json",
    ]);
    let eval: Value = serde_json::from_str(&ran.stdout).unwrap();
    let figures = &row(&comparison, &small)["figures"];
    assert_eq!(figures["kld"]["value"], eval["divergences"][0]["mean"]["value"]);
    assert_eq!(figures["kld"]["error"], eval["divergences"][0]["mean"]["error"]);
    assert_eq!(figures["ppl"]["value"], eval["predictions"][1]["perplexity"]["value"]);
}

#[test]
fn what_cannot_be_compared_is_told_and_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let [large, small, plain] = artifacts(folder.path());
    let edit = |artifact: &str, edit: &dyn Fn(&mut Value)| {
        let path = Path::new(artifact).join("run.json");
        let mut run: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut run);
        fs::write(path, run.to_string()).unwrap();
    };
    // judged on another text, of another schema
    edit(&small, &|run| run["quality"]["text"] = "0123456789abcdef".into());
    edit(&plain, &|run| run["schema"] = 7.into());
    let comparison = compare(&[&large, &small, &plain]);
    for artifact in [&large, &small] {
        let figures = &row(&comparison, artifact)["figures"];
        assert_eq!(figures["kld"]["best"], false, "nothing to compare with");
        assert_eq!(row(&comparison, artifact)["pareto"], true);
    }
    let notes = comparison["notes"].to_string();
    for words in ["kld: not all rows were judged alike", "(01234567)", "has schema 7, this program reads 1"] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let shown = binary::run(&["compare", &large, &small, &plain]);
    assert!(shown.stdout.contains(" [2]") && shown.stdout.contains("judged alike"), "{}", shown.stdout);
    // a field is missing, another file lies beside the record
    edit(&large, &|run| {
        run["quality"].as_object_mut().unwrap().remove("divergence");
    });
    edit(&small, &|run| run["gguf_bytes"] = 12.into());
    let notes = compare(&[&large, &small])["notes"].to_string();
    assert!(notes.contains("missing field `divergence`") && notes.contains("run.json says 12"), "{notes}");
}

#[test]
fn devices_are_columns_and_charts_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let [large, small, _] = artifacts(folder.path());
    let chart = folder.path().join("chart.svg");
    let decode = "decode@raspberry-pi-5-8gb";
    let drawn = format!("{decode}={}", chart.display());
    let comparison = compare(&[&large, &small, "--columns", &format!("size,{decode}"), "--chart", &drawn]);
    let whatif =
        binary::run(&["whatif", &format!("{small}/model.gguf"), "--profile", "raspberry-pi-5-8gb", "--json"]);
    let whatif: Value = serde_json::from_str(&whatif.stdout).unwrap();
    let figure = &row(&comparison, &small)["figures"][decode];
    assert_eq!(figure["value"], whatif["rows"][0]["decode_tokens_per_second"]);
    assert_eq!(figure["basis"], "estimated");
    assert_eq!(
        fs::read_to_string(chart).unwrap().matches("<circle").count(),
        4,
        "a dot for each, and in the legend"
    );
}

#[test]
fn bad_input_names_what_is_wrong() {
    let none = binary::run(&["compare", "demo", "--columns", "speed"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("`speed` is no column"), "{}", none.stderr);
    let none = binary::run(&["compare", "demo", "--baseline", "other"]);
    assert_eq!((none.code, none.stderr.contains("`other` is not among the rows")), (2, true));
    let none = binary::run(&["compare", "demo", "--chart", "x.svg"]);
    assert_eq!((none.code, none.stderr.contains("nothing to draw")), (2, true));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    fs::write(&file, "{\"schema\": 1, \"version\": 3").unwrap();
    let none = binary::run(&["compare".as_ref(), file.as_os_str()]);
    assert_eq!((none.code, none.stderr.contains("is no record of a run")), (3, true), "{}", none.stderr);
}

/// Tables with everything that LaTeX would obey compile, where there is a LaTeX.
#[test]
fn latex_compiles() {
    let Some(latex) = ["pdflatex", "tectonic"].into_iter().find(|name| is_installed(name)) else {
        return; // the unit test of the escapes remains
    };
    let folder = tempfile::tempdir().unwrap();
    let awkward: PathBuf = folder.path().join("50%_$a & {b}#^~");
    compress(Path::new("demo"), &["--type", "q4_0"], &awkward);
    let ran = binary::run(&["compare", "demo", awkward.to_str().unwrap(), "--format", "latex"]);
    let document =
        format!("\\documentclass{{article}}\\begin{{document}}\n{}\\end{{document}}\n", ran.stdout);
    fs::write(folder.path().join("table.tex"), document).unwrap();
    let options: &[&str] =
        if latex == "pdflatex" { &["-interaction=nonstopmode", "-halt-on-error"] } else { &[] };
    let made =
        Command::new(latex).args(options).arg("table.tex").current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    assert!(folder.path().join("table.pdf").exists());
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success())
}
