//! The cache is the one of Python's huggingface_hub, and models of the Hub are models everywhere.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::{Path, PathBuf};

use secateur_tests::binary;
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::hub_client::Home;
use secateur_tests::hub_server::{Fault, HubModel, Request};
use serde_json::Value;

const REPO: &str = "org/model";

fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models").join(family)
}

fn home() -> Home {
    let home = Home::new();
    let model = HubModel::new('c')
        .with("additional_chat_templates/tool.jinja", b"{{ tool }}")
        .with("README.md", b"---\nlicense: mit\n---\n")
        .with_folder(&golden("llama"))
        .unwrap();
    home.server.add(REPO, model);
    home
}

/// Path and content of every file of a snapshot.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_we_pull_python_finds() {
    for symlinks in ["0", "1"] {
        let mut home = home();
        home.set("HF_HUB_DISABLE_SYMLINKS", symlinks);
        let pulled = home.pull(&[REPO, "--include", "*"]);
        home.server.take_requests();
        let found = home.python(&[REPO, "--local"]).unwrap();
        assert_eq!(found["folder"], pulled["folder"]);
        assert!(home.server.requests().is_empty());
        let folder = Path::new(found["folder"].as_str().unwrap());
        let names: Vec<String> = contents(folder).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"additional_chat_templates/tool.jinja".to_owned()), "{names:?}");
        for name in ["config.json", "model.safetensors"] {
            assert!(fs::read(folder.join(name)).unwrap() == fs::read(golden("llama").join(name)).unwrap());
        }
        // online, Python asks for the listing and for no content
        home.python(&[REPO]).unwrap();
        let contents = home.server.take_requests().into_iter().filter(Request::is_content).count();
        assert_eq!(contents, 0);
    }
}

#[test]
fn what_python_fetches_we_find() {
    for symlinks in ["0", "1"] {
        let mut home = home();
        home.set("HF_HUB_DISABLE_SYMLINKS", symlinks);
        let fetched = home.python(&[REPO]).unwrap();
        home.server.take_requests();
        let pulled = home.pull(&[REPO]);
        assert_eq!(pulled["folder"], fetched["folder"]);
        assert_eq!(pulled["missing_bytes"], 0);
        let offline = home.pull(&[REPO, "--offline"]);
        assert_eq!(offline["folder"], fetched["folder"]);
        let contents = home.server.take_requests().into_iter().filter(Request::is_content).count();
        assert_eq!(contents, 0);
    }
}

#[test]
fn the_same_layout_down_to_the_last_file() {
    let [ours, theirs] = [home(), home()];
    ours.pull(&[REPO, "--include", "*"]);
    theirs.python(&[REPO]).unwrap();
    // Python also keeps the listing, for itself
    let listed = |home: &Home| -> Vec<String> {
        let is_kept = |file: &String| file.starts_with("hub/") && !file.contains("/trees/");
        home.files().into_iter().filter(is_kept).collect()
    };
    assert_eq!(listed(&ours), listed(&theirs));
}

#[test]
fn python_goes_on_where_we_were_stopped_and_we_where_it_was() {
    let home = home();
    home.server.fail("model.safetensors", Fault::Cut(1000), 5);
    home.server.fail("model.safetensors", Fault::Status(404, None), 1);
    let ran = home.run(&["pull", REPO]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    home.server.repair();
    // our half file is not taken for one of Python's
    let folder = home.python(&[REPO]).unwrap();
    let weights = Path::new(folder["folder"].as_str().unwrap()).join("model.safetensors");
    assert!(fs::read(weights).unwrap() == fs::read(golden("llama").join("model.safetensors")).unwrap());
    assert_eq!(home.pull(&[REPO])["missing_bytes"], 0);
}

#[test]
fn any_command_takes_a_model_of_the_hub_and_records_its_commit() {
    const SECRET: &str = "hf_AbCdEfGhIjKlMnOp";
    let mut home = home();
    home.set("HF_TOKEN", SECRET);
    let out = home.path().join("out");
    let out_text = out.to_str().unwrap().to_owned();
    let compress = |model: &str| home.run(&["compress", model, "--type", "q8_0", "--out", &out_text]);
    let ran = compress(REPO);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (name, bytes) in contents(&out) {
        assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "{name} has the token");
    }
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let commit = "c".repeat(40);
    assert_eq!(run["origin"], serde_json::json!({"repo": REPO, "revision": "main", "commit": commit}));
    let local = home.path().join("local");
    binary::compress(&golden("llama"), &["--type", "q8_0"], &local);
    let local_run: Value = serde_json::from_slice(&fs::read(local.join("run.json")).unwrap()).unwrap();
    assert_eq!(local_run["origin"], Value::Null);
    assert_eq!(run["distances"], local_run["distances"]);
    assert!(fs::read_to_string(out.join("README.md")).unwrap().contains("base_model: \"org/model\""));
    // offline, from the cache
    let ran = home.run(&["compress", REPO, "--offline", "--type", "q8_0", "--out", &out_text]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

fn inspect(home: &Home, model: &str) -> Value {
    let ran = home.run(&["inspect", "--json", model]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Bytes of the files at the storage that were asked for.
fn asked_bytes(home: &Home) -> u64 {
    let requests = home.server.take_requests();
    requests
        .iter()
        .filter(|request| request.is_storage)
        .map(|request| match request.range {
            Some((first, Some(last))) => last + 1 - first,
            _ => u64::MAX / 2,
        })
        .sum()
}

#[test]
fn inspect_reads_headers_of_real_models_and_no_weights() {
    let home = home();
    for (name, most) in [(SMOLLM2, 4 << 20), (GEMMA, 16 << 20)] {
        let file = fixture(name);
        let model = HubModel::new('e').with_file(&format!("gguf/{name}"), &file).unwrap();
        home.server.add("org/gguf", model);
        home.server.take_requests();
        let mut remote = inspect(&home, "org/gguf");
        let asked = asked_bytes(&home);
        assert!(asked < most, "{asked} bytes of {}", fs::metadata(&file).unwrap().len());
        assert_eq!(remote["origin"]["commit"], "e".repeat(40));
        remote["origin"] = Value::Null;
        assert_eq!(remote, inspect(&home, file.to_str().unwrap()));
    }
    assert!(home.files().iter().all(|file| !file.contains("blobs")), "{:?}", home.files());
}

#[test]
fn inspect_reads_headers_of_shards() {
    // shards of our own writer, large enough that a header is a small part
    let home = Home::new();
    let folder = home.path().join("sharded");
    let shards = shard(&golden("qwen3"), &folder);
    home.server.add(REPO, HubModel::new('c').with_folder(&folder).unwrap());
    let mut remote = inspect(&home, REPO);
    let requests = home.server.take_requests();
    let weights = requests.iter().filter(|request| request.is_storage);
    assert_eq!(weights.count(), shards, "one request for each shard");
    assert!(home.files().iter().all(|file| !file.ends_with(".safetensors") || file.starts_with("sharded/")));
    let local = inspect(&home, folder.to_str().unwrap());
    remote["origin"] = Value::Null;
    remote["name"] = local["name"].clone();
    assert_eq!(remote, local);
    // once it is pulled, nothing is asked for but the listing
    home.pull(&[REPO]);
    home.server.take_requests();
    inspect(&home, REPO);
    assert!(home.server.take_requests().iter().all(|request| !request.is_content()));
}

/// Cuts a model's weights in two files, with an index.
fn shard(model: &Path, to: &Path) -> usize {
    fs::create_dir(to).unwrap();
    fs::copy(model.join("config.json"), to.join("config.json")).unwrap();
    let bytes = fs::read(model.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<&str> = tensors.names().into_iter().collect();
    names.sort_unstable();
    let mut weight_map = serde_json::Map::new();
    let shards: Vec<&[&str]> = names.chunks(names.len().div_ceil(2)).collect();
    for (number, shard) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        let views = shard.iter().map(|name| (*name, tensors.tensor(name).unwrap()));
        safetensors::serialize_to_file(views, None, &to.join(&file)).unwrap();
        weight_map.extend(shard.iter().map(|name| ((*name).to_owned(), Value::from(file.as_str()))));
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": weight_map});
    fs::write(to.join("model.safetensors.index.json"), index.to_string()).unwrap();
    shards.len()
}

#[test]
fn a_gguf_model_is_taken_by_its_type() {
    let home = home();
    let model = HubModel::new('e')
        .with_file("smol-Q4_1.gguf", &fixture(SMOLLM2))
        .unwrap()
        .with_large("smol-Q8_0.gguf", *b"not this one");
    home.server.add("org/gguf", model);
    let ran = home.run(&["inspect", "org/gguf:Q4_1", "--format", "csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("llama"), "{}", ran.stdout);
    let pulled = home.pull(&["org/gguf:q4_1"]);
    assert_eq!(pulled["files"].as_array().unwrap().len(), 1);
    let ran = home.run(&["inspect", "org/gguf:Q4_1", "--offline"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
