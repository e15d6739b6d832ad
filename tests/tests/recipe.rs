//! `--recipe FILE`: options from a file do what the same options do when they are typed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;

use secateur_tests::binary::{self, compress};
use serde_json::Value;

#[test]
fn a_recipe_makes_the_bytes_that_its_options_make() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("small.yaml");
    fs::write(&recipe, "model: demo\ntype: q4_0\nkeep-layers: 0,1,3\nrepair: none\nffn: 192\nseed: 3\n")
        .unwrap();
    let (written, typed) = (folder.path().join("written"), folder.path().join("typed"));
    let ran = binary::run(&[
        "compress",
        "--recipe",
        recipe.to_str().unwrap(),
        "--ffn",
        "224",
        "--out",
        written.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let options =
        ["--type", "q4_0", "--keep-layers", "0,1,3", "--repair", "none", "--ffn", "224", "--seed", "3"];
    compress(Path::new("demo"), &options, &typed);
    for name in ["model.gguf", "plan.yaml"] {
        assert!(fs::read(written.join(name)).unwrap() == fs::read(typed.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_recipe_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.yaml");
    let recipe = recipe.to_str().unwrap();
    let out = folder.path().join("out");
    let run = |text: &str| {
        fs::write(recipe, text).unwrap();
        binary::run(&["compress", "--recipe", recipe, "--out", out.to_str().unwrap()])
    };
    for (text, words) in [
        ("model: demo\ntipe: q4_0\n", "`tipe` is no option of `secateur compress`; the nearest is `type`"),
        ("model: demo\ntype: [q4_0]\n", "`type` is [\"q4_0\"], expected a text or a number"),
        ("model: [\n", "no recipe"),
        ("model: demo\ntype: q4_9\n", "q4_9"),
        ("type: q4_0\n", "<MODEL>"),
    ] {
        let ran = run(text);
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{text}: {}", ran.stderr);
        assert!(!out.exists());
    }
    let missing = binary::run(&["--json", "compress", "--recipe", "no.yaml", "--out", "x"]);
    assert_eq!(missing.code, 3);
    let told: Value = serde_json::from_str(&missing.stdout).unwrap();
    assert!(told["error"]["message"].as_str().unwrap().contains("`no.yaml` cannot be read"));
}

/// The example in the repository is understood: nothing is wrong with it but that no network is asked.
#[test]
fn the_example_is_understood() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/phone.yaml");
    // a cache where the model cannot be, whatever this machine's holds
    let cache = tempfile::tempdir().unwrap();
    let out = cache.path().join("out");
    let ran = binary::run_with(
        &["--offline", "compress", "--recipe", example.to_str().unwrap(), "--out", out.to_str().unwrap()],
        &[("HF_HUB_CACHE", cache.path().as_os_str())],
    );
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("SmolLM2-135M-Instruct"), "{}", ran.stderr);
}
