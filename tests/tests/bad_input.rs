//! Bad input gets a clear error and its exit code, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::Command;

use secateur_tests::binary::{self, Ran};
use serde_json::{Value, json};

fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models").join(family)
}

/// A copy of a tiny model in a folder of its own.
fn copy(family: &str, to: &Path) -> PathBuf {
    let folder = to.join("model");
    fs::create_dir(&folder).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden(family).join(name), folder.join(name)).unwrap();
    }
    folder
}

fn compress(model: &Path, parent: &Path) -> Ran {
    let out = parent.join("out");
    let ran = binary::run(&[
        "compress".as_ref(),
        model.as_os_str(),
        "--type".as_ref(),
        "q4_0".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]);
    assert!(!out.exists(), "nothing is written");
    ran
}

/// Exit code 3, all the words in the message, no temporary folder left.
fn refused(model: &Path, parent: &Path, words: &[&str]) {
    let ran = compress(model, parent);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
    }
    let left: Vec<_> = fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".secateur"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

/// Changes the header of the weights; the data stay.
fn edit_header(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    edit(&mut header);
    let header = header.to_string();
    let edited = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat();
    fs::write(path, edited).unwrap();
}

#[test]
fn a_missing_model_says_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("nothing"), folder.path(), &["nothing", "Hugging Face folder", "demo"]);
}

#[test]
fn gguf_files_cut_anywhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("whole");
    binary::compress(Path::new("demo"), &["--type", "q8_0"], &out);
    let whole = fs::read(out.join("model.gguf")).unwrap();
    let model = folder.path().join("cut.gguf");
    for keep in [0, 3, 4, 20, 100, 5000, whole.len() / 2, whole.len() - 40] {
        fs::write(&model, &whole[..keep]).unwrap();
        refused(&model, folder.path(), &["cut.gguf"]);
    }
}

#[test]
fn weights_cut_short_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    let weights = model.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for keep in [0, 7, 100, whole.len() - 1] {
        fs::write(&weights, &whole[..keep]).unwrap();
        refused(&model, folder.path(), &["model.safetensors"]);
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    edit_header(&model, |header| {
        let tensor = header["model.layers.0.mlp.up_proj.weight"].take();
        let header = header.as_object_mut().unwrap();
        header.remove("model.layers.0.mlp.up_proj.weight");
        header.insert("model.layers.0.mlp.surplus.weight".into(), tensor);
    });
    refused(&model, folder.path(), &["lacks tensor `model.layers.0.mlp.up_proj.weight`"]);
}

#[test]
fn a_surplus_tensor_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("qwen3", folder.path());
    edit_config(&model, |config| config["num_hidden_layers"] = json!(3));
    refused(&model, folder.path(), &["has tensor `model.layers.3."]);
}

#[test]
fn a_wrong_shape_shows_both() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    edit_config(&model, |config| config["intermediate_size"] = json!(128));
    refused(&model, folder.path(), &["mlp.", "[96, 64]", "[128, 64]"]);
}

#[test]
fn an_unknown_architecture_lists_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    edit_config(&model, |config| config["model_type"] = json!("mamba"));
    refused(&model, folder.path(), &["`mamba`", "llama", "qwen3", "gemma3"]);
}

#[test]
fn absurd_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    let absurd = [
        ("num_hidden_layers", json!(4_000_000_000_u64)),
        ("hidden_size", json!(0)),
        ("vocab_size", json!(-1)),
    ];
    for (key, value) in absurd {
        let before = fs::read(model.join("config.json")).unwrap();
        edit_config(&model, |config| config[key] = value);
        refused(&model, folder.path(), &["config.json", key]);
        fs::write(model.join("config.json"), before).unwrap();
    }
    fs::write(model.join("config.json"), "{ not json").unwrap();
    refused(&model, folder.path(), &["config.json", "JSON"]);
}

#[test]
fn a_weight_that_is_no_number_is_located() {
    let folder = tempfile::tempdir().unwrap();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let parent = folder.path().join(shown);
        fs::create_dir(&parent).unwrap();
        let model = copy("llama", &parent);
        let weights = model.join("model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let start =
            header["model.layers.2.mlp.down_proj.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
        // row 5, column 7 of [64, 96]
        let at = 8 + length + start + 4 * (5 * 96 + 7);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        fs::write(&weights, bytes).unwrap();
        refused(&model, &parent, &["blk.2.ffn_down.weight", "row 5, column 7", shown]);
    }
}

#[test]
fn pickles_are_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    fs::rename(model.join("model.safetensors"), model.join("pytorch_model.bin")).unwrap();
    refused(&model, folder.path(), &["pytorch_model.bin", "pickle", "safetensors"]);
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("llama", folder.path());
    let outside = folder.path().join("outside.safetensors");
    fs::rename(model.join("model.safetensors"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, model.join("model.safetensors")).unwrap();
    refused(&model, folder.path(), &["model.safetensors", "outside"]);
}

#[test]
#[cfg(unix)]
fn a_link_to_itself_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = copy("llama", parent.path());
    let weights = folder.join("model.safetensors");
    fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink("model.safetensors", &weights).unwrap();
    refused(&folder, parent.path(), &["model.safetensors"]);
}

#[test]
fn a_tokenizer_that_disagrees_with_the_vocabulary_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    binary::compress(Path::new("demo"), &["--type", "f16"], &out);
    let model = copy("llama", folder.path());
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(out.join("hf").join(name), model.join(name)).unwrap();
    }
    refused(&model, folder.path(), &["tokenizer disagrees", "256"]);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("photos");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("cat.jpg"), "meow").unwrap();
    let ran = binary::run(&["compress", "demo", "--type", "q4_0", "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("photos") && ran.stderr.contains("not empty"), "{}", ran.stderr);
    assert_eq!(fs::read(out.join("cat.jpg")).unwrap(), b"meow");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

/// Runs `compress demo` on a disk of its own, of `size`: a tmpfs in a mount namespace, where anyone may mount one.
/// What is left on the disk is on stdout, one path in a line.
#[cfg(target_os = "linux")]
fn on_a_disk_of(size: &str, earlier_artifact: bool) -> Ran {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size="$1" disk "$2" && cd "$2" || { echo "no disk of our own" >&2; exit 99; }
        if [ "$4" = true ]; then "$3" compress demo --type q4_0 --out new/out --quiet >/dev/null || exit 98; fi
        "$3" compress demo --type f16 --out new/out --quiet >/dev/null
        code=$?
        if [ "$4" = true ]; then (cd new/out && sha256sum --check --quiet --strict SHA256SUMS) || exit 97; fi
        find . -mindepth 1 | sort
        exit $code"#;
    let disk = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", size])
        .arg(disk.path())
        .arg(binary::path())
        .arg(earlier_artifact.to_string())
        .output()
        .expect("unshare (util-linux) is needed to make a small disk");
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(
        matches!(ran.code, 0 | 3),
        "either the disk could not be made (this test needs user namespaces: sysctl user.max_user_namespaces, and \
         where there is one, kernel.apparmor_restrict_unprivileged_userns=0), or secateur ended otherwise: {ran:?}"
    );
    ran
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    // full in the header of model.gguf (it has the vocabulary), in its tensors, in hf/
    for (size, file) in [("4k", "model.gguf"), ("1m", "model.gguf"), ("2500k", "model.safetensors")] {
        let ran = on_a_disk_of(size, false);
        assert_eq!(ran.code, 3, "{size}: {ran:?}");
        assert!(ran.stderr.contains("No space left on device"), "{size}: {ran:?}");
        assert!(ran.stderr.contains(file), "{size}: {ran:?}");
        assert_eq!(ran.stdout, "", "{size}");
    }
    let enough = on_a_disk_of("16m", false);
    assert_eq!(enough.code, 0, "{enough:?}");
    assert!(enough.stdout.contains("./new/out/hf/model.safetensors\n"), "{enough:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_an_earlier_artifact_whole() {
    let ran = on_a_disk_of("1500k", true);
    assert_eq!(ran.code, 3, "{ran:?}");
    let left: Vec<_> = ran.stdout.lines().collect();
    let expected = [
        "./new",
        "./new/out",
        "./new/out/README.md",
        "./new/out/SHA256SUMS",
        "./new/out/model.gguf",
        "./new/out/plan.yaml",
        "./new/out/report.html",
        "./new/out/report.md",
        "./new/out/run.json",
    ];
    assert_eq!(left, expected);
}

#[test]
fn an_artifact_is_not_made_over_its_own_source() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    binary::compress(Path::new("demo"), &["--type", "q8_0"], &out);
    let before = fs::read(out.join("model.gguf")).unwrap();
    let source = out.join("model.gguf");
    let ran = binary::run(&[
        "compress",
        source.to_str().unwrap(),
        "--type",
        "q4_0",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(fs::read(source).unwrap(), before);
    // an earlier artifact of something else may be replaced
    binary::compress(Path::new("demo"), &["--type", "q4_0"], &out);
    assert!(fs::metadata(out.join("model.gguf")).unwrap().len() < before.len() as u64);
}

#[test]
fn usage_errors_end_with_2_and_say_what_would_do() {
    let type_error = binary::run(&["compress", "demo", "--type", "q9_x", "--out", "unused"]);
    assert_eq!(type_error.code, 2);
    assert!(
        type_error.stderr.contains("q9_x") && type_error.stderr.contains("q4_k_m"),
        "{}",
        type_error.stderr
    );

    let pattern = binary::run(&[
        "compress",
        "demo",
        "--type",
        "q4_0",
        "--tensor-type",
        "ffn_dwon=q8_0",
        "--out",
        "unused",
    ]);
    assert_eq!(pattern.code, 2);
    assert!(pattern.stderr.contains("ffn_dwon") && pattern.stderr.contains("ffn_down"), "{}", pattern.stderr);
    assert!(!Path::new("unused").exists());
}

#[test]
fn a_missed_budget_is_1_and_a_kept_one_0() {
    let dry =
        |size: &str| binary::run(&["compress", "demo", "--type", "q4_0", "--dry-run", "--max-size", size]);
    assert_eq!(dry("1MB").code, 0);
    let missed = dry("100kB");
    assert_eq!(missed.code, 1);
    assert!(missed.stderr.contains("budget missed: max-size"), "{}", missed.stderr);
}

#[test]
fn errors_are_json_too() {
    let ran = binary::run(&["inspect", "nowhere", "--json"]);
    assert_eq!(ran.code, 3);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["error"]["exit_code"], 3);
    assert!(document["error"]["message"].as_str().unwrap().contains("nowhere"));
    assert!(ran.stderr.is_empty());

    let ran = binary::run(&["inspect", "demo", "--json", "--bytse"]);
    assert_eq!(ran.code, 2);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["error"]["exit_code"], 2);
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("unexpected argument '--bytse' found"), "{message}");
    assert!(ran.stderr.is_empty());
    // help is no error
    let ran = binary::run(&["inspect", "--json", "--help"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("Usage: secateur inspect"), "{}", ran.stdout);
}
