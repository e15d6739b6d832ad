//! What `eval` cannot use gets a clear error and its exit code, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

use secateur_tests::binary;

/// The exit code, and all the words in the message.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let ran = binary::run(&[&["eval"], arguments].concat());
    assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
    }
}

fn held_out() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../model/demo/held_out.txt").to_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn texts_that_are_none() {
    let folder = Folder::new();
    let empty = folder.file("empty.txt", "");
    refused(&["demo", "--text", &empty], 3, &["empty.txt", "is empty"]);
    let short = folder.file("short.txt", "Emma Woodhouse, handsome, clever, and rich.");
    refused(&["demo", "--text", &short], 3, &["short.txt", "tokens, fewer than one chunk of 256"]);
    let latin = folder.file("latin.txt", b"caf\xe9".repeat(1000));
    refused(&["demo", "--text", &latin], 3, &["latin.txt", "no UTF-8", "byte 3"]);
    refused(&["demo", "--text", "nowhere.txt"], 3, &["nowhere.txt"]);
}

#[test]
fn models_that_cannot_read() {
    let llama = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/models/llama");
    refused(&[llama, "--text", &held_out()], 3, &["llama", "no tokenizer"]);
    refused(&["nothing", "--text", &held_out()], 3, &["nothing"]);
}

#[test]
fn usage() {
    refused(&["demo"], 2, &["--text"]);
    refused(&["demo", "--text", &held_out(), "--context", "3"], 2, &["--context", "from 4"]);
    refused(&["demo", "--text", &held_out(), "--chunks", "0"], 2, &["--chunks"]);
    refused(&["demo", "--text", &held_out(), "--against", "demo", "--base", "b"], 2, &["--base"]);
    let twice = ["demo", "--text", &held_out(), "--text", &held_out(), "--save-base", "b"];
    refused(&twice, 2, &["one text", "2 are given"]);
    refused(&["demo", "--pass-until", "t", "--passes", "1"], 2, &["from 2"]);
    refused(&["demo", "--pass-until", "t", "--temperature", "0"], 2, &["above 0"]);
    refused(&["demo", "--text", &held_out(), "--biased"], 2, &["--biased"]);
}

#[test]
fn base_files_of_something_else() {
    let folder = Folder::new();
    let base = folder.path("base");
    let base = base.to_str().unwrap();
    let saved = binary::run(&["eval", "demo", "--text", &held_out(), "--chunks", "2", "--save-base", base]);
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    let text = fs::read_to_string(held_out()).unwrap();

    let other = folder.file("other.txt", text.replace("Mr.", "Dr."));
    refused(&["demo", "--text", &other, "--base", base], 3, &["another text", "chunk 0", "position"]);
    let chunks = ["demo", "--text", &held_out(), "--base", base, "--chunks", "3"];
    refused(&chunks, 3, &["2 chunks", "3"]);
    let context = ["demo", "--text", &held_out(), "--base", base, "--context", "128"];
    refused(&context, 3, &["context of 256", "128"]);

    let bytes = fs::read(base).unwrap();
    let cut = folder.file("cut", &bytes[..bytes.len() - 1]);
    let (found, expected) = ((bytes.len() - 1).to_string(), bytes.len().to_string());
    refused(&["demo", "--base", &cut], 3, &["cut", &found, &expected]);
    let mut other_model = bytes.clone();
    other_model[12..16].copy_from_slice(&1022_i32.to_le_bytes());
    other_model.truncate(bytes.len() - 2 * 2 * 127 * 2);
    let other_model = folder.file("other_model", other_model);
    refused(&["demo", "--base", &other_model], 3, &["1022 tokens", "1024"]);
    let mut unknown = bytes.clone();
    unknown[20..24].copy_from_slice(&1024_i32.to_le_bytes());
    let unknown = folder.file("unknown", unknown);
    refused(&["demo", "--base", &unknown], 3, &["token 1024", "position 0", "vocabulary of 1024"]);
    let negative = folder.file("negative", [b"_logits_".as_slice(), &[0xff; 12]].concat());
    refused(&["demo", "--base", &negative], 3, &["negative", "-1"]);
    let nothing = folder.file("nothing", "no base");
    refused(&["demo", "--base", &nothing], 3, &["nothing", "_logits_"]);
}

#[test]
fn numbers_that_are_not_finite_name_their_layer() {
    let folder = Folder::new();
    let mut bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/demo/demo.gguf")).unwrap();
    let gguf = secateur_model::gguf::Gguf::open(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../model/demo/demo.gguf"
    )))
    .unwrap();
    let tensor = gguf.tensors.iter().find(|tensor| tensor.name == "blk.2.ffn_up.weight").unwrap();
    let content = gguf.files.map(tensor).unwrap();
    let at = bytes.windows(content.len()).position(|window| window == &content[..]).unwrap();
    bytes[at..at + 2].copy_from_slice(&0x7c00_u16.to_le_bytes()); // an infinity in f16
    let damaged = folder.file("damaged.gguf", bytes);
    refused(&[&damaged, "--text", &held_out()], 3, &["layer 2", "chunk 0", "not finite"]);
}

#[test]
fn a_base_file_appears_whole_or_not_at_all() {
    let folder = Folder::new();
    let base = folder.path("missing/base");
    refused(&["demo", "--text", &held_out(), "--save-base", base.to_str().unwrap()], 3, &["base"]);
    let short = folder.file("short.txt", "too short");
    let base = folder.path("base");
    refused(&["demo", "--text", &short, "--save-base", base.to_str().unwrap()], 3, &["short.txt"]);
    assert!(!base.exists());
}

#[test]
fn task_files() {
    let folder = Folder::new();
    let tasks = folder.file("t.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}");
    refused(&["demo", "--pass-until", &tasks], 3, &["t.jsonl", "task 1", "\"exact\""]);
    let broken = folder.file("b.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\", \"check\": \"exact\"}\n{");
    refused(&["demo", "--pass-until", &broken], 3, &["b.jsonl", "line 2"]);
    refused(&["demo", "--pass-until", "nowhere.jsonl"], 3, &["nowhere.jsonl"]);
    let empty = folder.file("e.jsonl", "{\"prompt\": \"\", \"answer\": \"b\", \"check\": \"exact\"}");
    refused(&["demo", "--pass-until", &empty], 3, &["no tokens"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing() {
    use std::process::{Command, Stdio};
    let folder = Folder::new();
    let text = folder.file("long.txt", fs::read_to_string(held_out()).unwrap().repeat(60));
    let base = folder.path("base");
    let mut child = Command::new(binary::path())
        .args(["eval", "demo", "--threads", "1", "--text", &text, "--save-base", base.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // the handler stands once the base file has been begun
    let begun = || fs::read_dir(folder.0.path()).unwrap().count() > 1;
    for _ in 0..600 {
        if begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(begun(), "the base file was never begun");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "only the text is left");
}
