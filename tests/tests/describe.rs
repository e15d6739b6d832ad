//! What the program tells of itself is what it does: reference, schema, completions, manual pages.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use secateur_tests::binary::{self, compress};
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

/// `secateur schema > docs/run.schema.json` writes it anew.
#[test]
fn the_published_schema_is_that_of_run_json() {
    let ran = binary::run(&["schema"]);
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    let published: Value = serde_json::from_slice(&fs::read(docs("run.schema.json")).unwrap()).unwrap();
    assert_eq!(schema, published);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    compress(Path::new("demo"), &["--max-size", "650kB"], &out);
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    describes(&schema, &schema, &run);
    describes(&schema, &schema["$defs"]["Quality"], &run["quality"]);
}

/// Every key of the document is a property, and every required property is a key.
fn describes(root: &Value, schema: &Value, document: &Value) {
    let keys: BTreeSet<_> = document.as_object().unwrap().keys().collect();
    let properties: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert!(keys.is_subset(&properties), "{keys:?} {properties:?}");
    for required in schema["required"].as_array().unwrap() {
        assert!(document.get(required.as_str().unwrap()).is_some(), "{required}");
    }
    assert!(root["$defs"].is_object());
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
