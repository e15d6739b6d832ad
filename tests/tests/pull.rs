//! `secateur pull` against a Hub on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;
use std::sync::Arc;

use secateur_tests::hub_client::Home;
use secateur_tests::hub_server::{Access, Fault, HubModel, Request};
use secateur_tests::random::Random;
use serde_json::Value;

const REPO: &str = "org/model";

/// More than two pieces of a large file.
const LARGE: usize = (80 << 20) + 12345;

fn random_bytes(length: usize) -> Arc<[u8]> {
    let mut random = Random::new(length as u64);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.bits().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// A model as people upload them, with more than is needed.
fn model(weights: usize) -> HubModel {
    HubModel::new('c')
        .with(".gitattributes", b"*.safetensors filter=lfs")
        .with("README.md", b"# A model\n")
        .with("config.json", b"{\"model_type\": \"llama\"}")
        .with("tokenizer.json", b"{}")
        .with("empty.txt", b"")
        .with_large("model.safetensors", random_bytes(weights))
        .with_large("pytorch_model.bin", random_bytes(1000))
}

fn home(model: HubModel) -> Home {
    let home = Home::new();
    home.server.add(REPO, model);
    home
}

/// The file in the snapshot is the one that the server has.
fn assert_whole(home: &Home, path: &str, expected: &[u8]) {
    let found = fs::read(home.repo(REPO).join("snapshots").join("c".repeat(40)).join(path)).unwrap();
    assert!(found == expected, "{path} has {} bytes, and they are others", found.len());
}

/// Ranges of the weights that were asked for, in order.
fn ranges(home: &Home) -> Vec<(u64, Option<u64>)> {
    let requests = home.server.requests();
    let mut ranges: Vec<_> =
        requests.iter().filter(|request| request.is_storage).filter_map(|r| r.range).collect();
    ranges.sort_unstable();
    ranges
}

fn partial_files(home: &Home) -> Vec<String> {
    home.files().into_iter().filter(|path| path.contains("incomplete")).collect()
}

#[test]
fn a_model_comes_with_what_it_needs_and_nothing_else() {
    let home = home(model(100_000));
    let pulled = home.pull(&[REPO]);
    let paths: Vec<&str> =
        pulled["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["README.md", "config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(pulled["commit"], "c".repeat(40));
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
    assert_eq!(fs::read_to_string(home.repo(REPO).join("refs/main")).unwrap(), "c".repeat(40));
    let snapshot = Path::new(pulled["folder"].as_str().unwrap());
    assert!(fs::symlink_metadata(snapshot.join("config.json")).unwrap().is_symlink());
    assert!(partial_files(&home).is_empty());

    // a finished file is never fetched again
    home.server.take_requests();
    let again = home.pull(&[REPO]);
    assert_eq!(again["missing_bytes"], 0);
    assert!(
        home.server.requests().iter().all(|request| !request.is_content()),
        "{:?}",
        home.server.requests()
    );
}

#[test]
fn what_is_damaged_in_the_cache_is_mended() {
    let home = home(model(100_000));
    let pulled = home.pull(&[REPO]);
    // names that were not given any more when the process ended
    let snapshot = Path::new(pulled["folder"].as_str().unwrap());
    fs::remove_dir_all(snapshot).unwrap();
    home.server.take_requests();
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
    assert!(home.server.take_requests().iter().all(|request| !request.is_content()));
    // a blob that somebody cut
    let blob = fs::canonicalize(snapshot.join("model.safetensors")).unwrap();
    fs::OpenOptions::new().write(true).open(blob).unwrap().set_len(50_000).unwrap();
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
}

#[test]
fn patterns_choose_and_a_dry_run_writes_nothing() {
    let home = home(model(100_000));
    let dry = home.pull(&[REPO, "--dry-run"]);
    assert_eq!(dry["folder"], Value::Null);
    assert_eq!(dry["missing_bytes"], 100_000 + 23 + 10 + 2);
    assert!(home.files().is_empty(), "{:?}", home.files());
    let pulled = home.pull(&[REPO, "--include", "*", "--exclude", "*.safetensors"]);
    let paths: Vec<&str> =
        pulled["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [".gitattributes", "README.md", "config.json", "empty.txt", "tokenizer.json"]);
    assert_eq!(pulled["pickles"][0], "pytorch_model.bin");
    assert_whole(&home, "empty.txt", b"");
    let ran = home.run(&["pull", REPO, "--include", "*.onnx"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("no file of `org/model`"), "{}", ran.stderr);
}

#[test]
fn large_files_come_in_ranges_and_each_byte_once() {
    let home = home(model(LARGE));
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(LARGE));
    let piece = 32 << 20;
    let expected = [(0, Some(piece - 1)), (piece, Some(2 * piece - 1)), (2 * piece, Some(LARGE as u64 - 1))];
    assert_eq!(ranges(&home), expected);
}

#[test]
fn a_connection_cut_mid_file_goes_on_from_there() {
    let home = home(model(LARGE));
    home.server.fail("model.safetensors", Fault::Cut(5_000_000), 1);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(LARGE));
    // one more request than pieces, and it begins where the first had stopped
    let ranges = ranges(&home);
    assert_eq!(ranges.len(), 4, "{ranges:?}");
    let piece = 32 << 20;
    assert!(ranges.iter().any(|(first, _)| first % piece == 5_000_000), "{ranges:?}");
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let mut home = home(model(3_000_000));
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    home.server.fail("model.safetensors", Fault::Stall(1_000_000), 1);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(3_000_000));
    assert_eq!(ranges(&home), [(1_000_000, Some(2_999_999))]);
}

#[test]
fn a_slow_server_is_waited_for_as_long_as_bytes_come() {
    let mut home = home(model(30_000));
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "2");
    let pause = std::time::Duration::from_millis(200);
    home.server.fail("model.safetensors", Fault::Slow(2000, pause), 1);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(30_000));
    let contents = home.server.requests().iter().filter(|request| request.is_storage).count();
    assert_eq!(contents, 1, "more than the timeout in all, but never so long without a byte");
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let home = home(model(100_000));
    home.server.fail("api", Fault::Status(503, None), 1);
    home.server.fail("config.json", Fault::Status(500, None), 1);
    home.server.fail("model.safetensors", Fault::Status(502, None), 1);
    home.server.fail("resolve tokenizer.json", Fault::Status(429, Some(2)), 1);
    let started = std::time::Instant::now();
    home.pull(&[REPO]);
    assert!(started.elapsed().as_secs() >= 2, "Retry-After was not waited for");
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
}

#[test]
fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let home = home(model(100_000));
    home.server.fail("api", Fault::Status(429, Some(3600)), 9);
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("asks to wait 3600 s"), "{}", ran.stderr);
}

#[test]
fn a_wrong_length_is_never_believed() {
    let home = home(model(100_000));
    home.server.fail("model.safetensors", Fault::WrongLength(-10), 1);
    home.server.fail("model.safetensors", Fault::WrongLength(10), 1);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));

    let home = self::home(model(100_000));
    home.server.fail("model.safetensors", Fault::WrongLength(10), 99);
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("100010 bytes of `model.safetensors` where its listing says 100000"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_wrong_body_is_fetched_once_more_and_then_refused() {
    let home = home(model(100_000));
    home.server.fail("model.safetensors", Fault::Corrupt, 1);
    home.server.fail("tokenizer.json", Fault::Corrupt, 1);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
    assert_whole(&home, "tokenizer.json", b"{}");

    for path in ["model.safetensors", "config.json"] {
        let home = self::home(model(100_000));
        home.server.fail(path, Fault::Corrupt, 99);
        let ran = home.run(&["pull", REPO]);
        assert_eq!(ran.code, 3);
        assert!(ran.stderr.contains(&format!("`{path}` was fetched twice")), "{}", ran.stderr);
        assert!(!home.repo(REPO).join("snapshots").join("c".repeat(40)).join(path).exists());
        assert!(!home.repo(REPO).join("refs/main").exists());
    }
}

#[test]
fn a_server_without_ranges_is_good_enough() {
    let home = home(model(LARGE));
    home.server.fail("model.safetensors", Fault::NoRanges, 9);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(LARGE));
    let contents = home.server.requests().iter().filter(|request| request.is_storage).count();
    assert_eq!(contents, 1, "the whole file comes once, not once for each piece");

    // cut, and the rest cannot be asked for: from the beginning
    let home = self::home(model(500_000));
    home.server.fail("model.safetensors", Fault::Cut(200_000), 1);
    home.server.fail("model.safetensors", Fault::NoRanges, 9);
    home.pull(&[REPO]);
    assert_whole(&home, "model.safetensors", &random_bytes(500_000));
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    const SECRET: &str = "hf_AbCdEfGhIjKlMnOp";
    let mut home = home(model(100_000).with_access(Access::Private(SECRET.to_owned())));
    home.set("HF_TOKEN", SECRET);
    let elsewhere = secateur_tests::hub_server::HubServer::start();
    // a redirect that leads to another server first
    home.server.fail("resolve config.json", Fault::RedirectTo(format!("{}/{REPO}", elsewhere.endpoint())), 1);
    let ran = home.run(&["pull", REPO, "--json"]);
    assert_eq!(ran.code, 3, "that other server has nothing for us");
    assert!(!elsewhere.requests().is_empty());
    let pulled = home.run(&["pull", REPO]);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    for request in elsewhere.requests() {
        assert_eq!(request.authorization, None);
    }
    for request in home.server.requests() {
        let expected = (!request.is_storage).then(|| format!("Bearer {SECRET}"));
        assert_eq!(request.authorization, expected, "{}", request.path);
    }
    for text in [ran.stdout, ran.stderr, pulled.stdout, pulled.stderr] {
        assert!(!text.contains(SECRET) && !text.contains("s3cr3t"), "{text}");
    }
    for file in home.files() {
        let bytes = fs::read(home.path().join(&file)).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file}");
    }
}

#[test]
fn a_token_file_is_read_and_offline_asks_nobody() {
    let home = home(model(1000).with_access(Access::Private("hf_file".to_owned())));
    fs::write(home.path().join("token"), "hf_file\n").unwrap();
    home.pull(&[REPO]);
    home.server.take_requests();
    let offline = home.pull(&[REPO, "--offline"]);
    assert_eq!(offline["missing_bytes"], 0);
    assert_eq!(offline["commit"], "c".repeat(40));
    assert!(home.server.requests().is_empty());
}

#[test]
fn what_cannot_be_had_is_said_in_one_sentence() {
    let mut home = home(model(1000));
    home.server.add("org/gated", model(1000).with_access(Access::Gated("hf_good".to_owned())));
    home.server.add("org/private", model(1000).with_access(Access::Private("hf_good".to_owned())));
    home.server
        .add("org/pickles", HubModel::new('d').with("pytorch_model.bin", b"x").with("config.json", b"{}"));
    home.server.add("org/nothing", HubModel::new('d').with("README.md", b"x"));
    let ggufs = HubModel::new('d').with_large("m-Q4_0.gguf", *b"x").with_large("m-Q8_0.gguf", *b"y");
    home.server.add("org/ggufs", ggufs);
    let refused = |home: &Home, arguments: &[&str], code: i32, words: &[&str]| {
        let ran = home.run(&[&["pull"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
        }
    };
    let page = format!("{}/org/gated", home.server.endpoint());
    refused(&home, &["org/missing"], 3, &["no public model `org/missing`", "HF_TOKEN"]);
    refused(&home, &["org/private"], 3, &["no public model `org/private`", "HF_TOKEN if it is private"]);
    refused(&home, &["org/gated"], 3, &["`org/gated` is gated", &page, "HF_TOKEN"]);
    refused(&home, &["org/model@v9"], 3, &["no revision `v9`", "branch"]);
    refused(&home, &["org/model:Q4_0"], 3, &["no `Q4_0`", "no GGUF"]);
    refused(&home, &["org/ggufs"], 3, &["2 GGUF models", "org/ggufs:m-Q4_0.gguf"]);
    refused(&home, &["org/pickles"], 3, &["pickled weights only", "pytorch_model.bin"]);
    refused(&home, &["org/nothing"], 3, &["neither safetensors nor GGUF"]);
    refused(&home, &["org/model", "--offline"], 3, &["not in the cache", "without --offline"]);
    refused(&home, &["model"], 2, &["org/name"]);
    refused(&home, &["org/model@../x"], 2, &["revision"]);
    home.set("HF_TOKEN", "hf_other");
    refused(&home, &["org/missing"], 3, &["that this token may read"]);
    refused(&home, &["org/gated"], 3, &["account has no access", &page]);
    home.set("HF_TOKEN", "hf_expired");
    refused(&home, &["org/model"], 3, &["does not accept this token"]);
    home.set("HF_TOKEN", "two words");
    refused(&home, &["org/model"], 2, &["token"]);
    home.set("HF_TOKEN", "");
    home.set("HF_ENDPOINT", "not an address");
    refused(&home, &["org/model"], 2, &["HF_ENDPOINT"]);
    home.set("HF_ENDPOINT", "http://127.0.0.1:9");
    refused(&home, &["org/model"], 3, &["127.0.0.1:9 cannot be reached", "check the connection"]);
    let ran = home.run(&["pull", "org/model", "--json", "--offline"]);
    let error: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(error["error"]["exit_code"], 3);
}

#[test]
fn part_of_a_model_offline_is_not_a_model() {
    let home = home(model(1000));
    home.pull(&[REPO, "--include", "config.json"]);
    let ran = home.run(&["pull", REPO, "--offline"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("only partly in the cache, without `model.safetensors`"), "{}", ran.stderr);
}

#[test]
fn a_hub_that_is_gone_leaves_what_the_cache_has() {
    let mut home = home(model(1000));
    home.pull(&[REPO]);
    home.set("HF_ENDPOINT", "http://127.0.0.1:9");
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("these are the files that the cache has"), "{}", ran.stderr);
}

#[test]
fn a_server_cannot_write_outside_of_the_cache() {
    for name in ["../../../evil", "a/../../../../evil", "/tmp/secateur-evil", "..\\evil"] {
        let home = home(model(1000).with(name, b"evil"));
        let ran = home.run(&["pull", REPO, "--include", "*"]);
        assert_eq!(ran.code, 3);
        assert!(ran.stderr.contains("do not trust that model"), "{}", ran.stderr);
        assert!(home.files().iter().all(|file| !file.contains("evil")), "{:?}", home.files());
        assert!(!Path::new("/tmp/secateur-evil").exists());
    }
    let index = br#"{"weight_map": {"a": "../../evil.safetensors"}}"#;
    let home = home(HubModel::new('c').with("model.safetensors.index.json", index));
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(home.files().is_empty(), "{:?}", home.files());
}

#[test]
fn a_disk_that_is_too_small_is_known_before_the_first_byte() {
    let mut model = model(1000);
    model.files.get_mut("model.safetensors").unwrap().size = 1 << 60;
    let home = home(model);
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("make room, or set HF_HUB_CACHE"), "{}", ran.stderr);
    assert!(home.files().is_empty(), "{:?}", home.files());
    assert!(home.server.requests().iter().all(|request| !request.is_content()));
}

#[test]
fn snapshots_hold_whole_files_where_links_are_not_wanted() {
    let mut home = home(model(100_000));
    home.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let pulled = home.pull(&[REPO]);
    let weights = Path::new(pulled["folder"].as_str().unwrap()).join("model.safetensors");
    assert!(!fs::symlink_metadata(weights).unwrap().is_symlink());
    assert_whole(&home, "model.safetensors", &random_bytes(100_000));
}

#[test]
fn a_branch_that_moves_brings_only_what_changed() {
    let home = home(model(100_000));
    home.pull(&[REPO]);
    let mut moved = model(100_000).with("config.json", b"{\"model_type\": \"qwen2\"}");
    moved.commit = "d".repeat(40);
    home.server.add(REPO, moved);
    home.server.take_requests();
    let pulled = home.pull(&[REPO]);
    assert_eq!(pulled["commit"], "d".repeat(40));
    assert_eq!(pulled["missing_bytes"], 23);
    let contents: Vec<String> = home
        .server
        .take_requests()
        .into_iter()
        .filter(Request::is_content)
        .map(|request| request.path)
        .collect();
    assert!(contents.iter().all(|path| path.ends_with("config.json")), "{contents:?}");
    // the old commit is still there, by its name
    let old = home.pull(&[&format!("{REPO}@{}", "c".repeat(40)), "--offline"]);
    assert_eq!(old["commit"], "c".repeat(40));
}
