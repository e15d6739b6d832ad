//! What the program tells of itself is what it does: reference, schema, completions, manual pages.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

use secateur_tests::binary::{self, compress};
use secateur_tests::schemas::{self, assert_valid, published};
use serde_json::Value;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// `secateur reference > docs/cli.md` writes it anew.
#[test]
fn the_published_reference_is_that_of_the_program() {
    let ran = binary::run(&["reference"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(fs::read_to_string(docs("cli.md")).unwrap() == ran.stdout, "docs/cli.md is stale");
}

/// A speed that somebody measured.
const MEASUREMENTS: &str = "device\tsoc\tbackend\tengine\tthreads\tmodel\tparams_b\tquant\tfile_gib\tmetric\tvalue\tunit\tsource_url\n\
    Raspberry Pi 5\tBCM2712\tCPU\tllama.cpp\t4\tLlama-3.2-1B\t1.236\tQ4_0\t\ttg128\t20\ttok/s\there\n";

/// The documents that are printed, by the words that print them on the demo model.
fn printed(folder: &Path) -> Vec<(&'static str, Vec<String>)> {
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let words = |words: &str| -> Vec<String> {
        let word = |word: &str| match word {
            "RUN" | "NEW" | "TEXT" | "TASKS" | "PROFILE" | "TABLE" => in_folder(word),
            other => other.to_owned(),
        };
        words.split_whitespace().map(word).collect()
    };
    vec![
        ("calibrate", words("calibrate demo --tokens 2048")),
        ("check", words("check RUN --max-size 1kB")),
        ("compare", words("compare RUN demo --columns size,kld,decode@raspberry-pi-5-8gb --baseline demo")),
        ("compress", words("compress demo --type q4_k_m --vocab 768 --ffn 128 --out NEW")),
        ("error", words("inspect RUN/nothing")),
        ("eval", words("eval demo --text TEXT")),
        ("eval-pass-until", words("eval demo --pass-until TASKS --passes 2 --cap 4")),
        ("inspect", words("inspect demo")),
        ("profiles-check", words("profiles check PROFILE")),
        ("profiles-list", words("profiles list")),
        ("profiles-match", words("profiles match demo")),
        ("profiles-score", words("profiles score TABLE")),
        (
            "search",
            words("search demo --max-size 600kB --profile raspberry-pi-5-8gb --evaluations 2 --search fast"),
        ),
        ("whatif", words("whatif demo --profile raspberry-pi-5-8gb")),
    ]
}

/// `for NAME in …; do secateur schema $NAME > docs/schemas/$NAME.json; done` writes them anew.
#[test]
fn every_document_is_as_its_published_schema_says() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    compress(Path::new("demo"), &["--max-size", "650kB"], &folder.path().join("RUN"));
    write("TEXT", &"It is a truth universally acknowledged. ".repeat(300));
    write("TASKS", "{\"prompt\": \"It is a\", \"check\": \"regex\", \"answer\": \".\"}\n");
    write("PROFILE", &binary::run(&["profiles", "show", "raspberry-pi-5-8gb"]).stdout);
    write("TABLE", MEASUREMENTS);
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let mut documents = vec![("run", read(&folder.path().join("RUN/run.json")))];
    for (name, mut words) in printed(folder.path()) {
        words.push("--json".to_owned());
        let ran = binary::run(&words);
        let document = serde_json::from_str(&ran.stdout);
        documents
            .push((name, document.unwrap_or_else(|_| panic!("{words:?}: {}{}", ran.stdout, ran.stderr))));
    }
    for (name, document) in &documents {
        assert_valid(name, document);
    }
}

#[test]
fn the_published_schemas_are_those_of_the_program() {
    let mut names = Vec::new();
    for entry in fs::read_dir(schemas::folder()).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    for name in &names {
        let ran = binary::run(&["schema", name]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(schema == published(name), "docs/schemas/{name}.json is stale");
    }
    let refused = binary::run(&["schema", "nothing"]);
    assert_eq!(refused.code, 2);
    // the message lists all that there are
    for name in
        refused.stderr.split("possible values: ").nth(1).unwrap().split(']').next().unwrap().split(", ")
    {
        assert!(names.iter().any(|known| known == name.trim()), "docs/schemas/{name}.json is missing");
    }
}

#[test]
fn shells_and_man_know_every_command() {
    let commands = ["compress", "compare", "check", "eval", "whatif"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = binary::run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(commands.iter().all(|command| ran.stdout.contains(command)), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = binary::run(&["man".as_ref(), folder.path().as_os_str()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for command in commands {
        let page = fs::read_to_string(folder.path().join(format!("secateur-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
}
