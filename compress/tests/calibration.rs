//! Calibration statistics: against themselves here, by stock runtimes in the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use secateur_compress::forward::Site;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::statistics::{Place, Statistics, StatisticsError, calibrate};
use secateur_model::{Checkpoint, Role, TensorId};

fn checkpoint(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models").join(name);
    Checkpoint::open(&folder).unwrap()
}

/// Three texts of 40 tokens.
fn sequences() -> Vec<Vec<u32>> {
    (0..3).map(|text| (0..40).map(|token| (text * 89 + token * 31) % 256).collect()).collect()
}

/// The files of a folder with their bytes, but for the empty lock.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| !path.ends_with("lock"));
    files.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

fn run(model: &str, folder: &Path) -> Statistics {
    let place = Place::Folder(folder.to_owned());
    calibrate(&checkpoint(model), &sequences(), &place, &Silent).unwrap().statistics
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for model in ["llama", "gemma3"] {
        let with_threads = |threads| {
            let folder = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(model, folder.path()));
            files(folder.path())
        };
        let alone = with_threads(1);
        for threads in [2, 3] {
            assert!(with_threads(threads) == alone, "{model} with {threads} threads");
        }
    }
}

/// Stops after so many tokens of a layer.
struct Impatient {
    tokens: AtomicU64,
    limit: u64,
}

impl Impatient {
    fn new(limit: u64) -> Self {
        Self { tokens: AtomicU64::new(0), limit }
    }
}

impl Progress for Impatient {
    fn begin(&self, _stage: &'static str, _elements: u64) {
        self.tokens.store(0, Ordering::Relaxed);
    }
    fn advance(&self, elements: u64) {
        self.tokens.fetch_add(elements, Ordering::Relaxed);
    }
    fn is_interrupted(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) == self.limit
    }
}

#[test]
fn interrupted_runs_go_on_where_they_stopped_and_end_the_same() {
    let whole = tempfile::tempdir().unwrap();
    run("llama", whole.path());
    let checkpoint = checkpoint("llama");
    let tokens = 120;
    // within the first layer, between layers, within a later one
    for (limit, finished) in [(80, 0), (tokens, 1), (2 * tokens + 40, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().to_owned());
        let error = calibrate(&checkpoint, &sequences(), &place, &Impatient::new(limit)).unwrap_err();
        assert!(matches!(error, StatisticsError::Interrupted), "{error}");
        let again = Impatient::new(u64::MAX);
        let calibration = calibrate(&checkpoint, &sequences(), &place, &again).unwrap();
        assert_eq!(calibration.reused_layers, finished);
        assert_eq!(again.tokens.into_inner(), (4 - finished as u64) * tokens, "only what was left");
        assert!(files(folder.path()) == files(whole.path()), "stopped after {limit} tokens");
    }
}

#[test]
fn finished_statistics_are_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Cache(folder.path().to_owned());
    let checkpoint = checkpoint("qwen2");
    let first = calibrate(&checkpoint, &sequences(), &place, &Silent).unwrap();
    let stamp = |statistics: &Statistics| {
        fs::metadata(statistics.folder().join("layer-000.safetensors")).unwrap().modified().unwrap()
    };
    let before = stamp(&first.statistics);
    let second = calibrate(&checkpoint, &sequences(), &place, &Silent).unwrap();
    assert_eq!((first.reused_layers, second.reused_layers), (0, 4));
    assert_eq!(stamp(&second.statistics), before);

    // another text lies beside it
    let other = calibrate(&checkpoint, &sequences()[..2], &place, &Silent).unwrap();
    assert_ne!(other.statistics.folder(), first.statistics.folder());
    assert_eq!(other.reused_layers, 0);
}

#[test]
fn damaged_files_are_told_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    run("qwen3", folder.path());
    let whole = files(folder.path());
    let checkpoint = checkpoint("qwen3");
    let place = Place::Folder(folder.path().to_owned());
    for name in ["layer-000.safetensors", "layer-002.safetensors", "output.safetensors"] {
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let place_of_bit = bytes.len() - 9;
        bytes[place_of_bit] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = Statistics::open(folder.path(), &checkpoint, &Silent).unwrap_err();
        assert!(matches!(&error, StatisticsError::Damaged { path: found, .. } if *found == path), "{error}");

        let calibration = calibrate(&checkpoint, &sequences(), &place, &Silent).unwrap();
        assert_eq!(calibration.damaged, [path]);
        assert!(files(folder.path()) == whole, "{name}");
    }
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    run("llama", folder.path());
    let place = Place::Folder(folder.path().to_owned());
    let of_model = calibrate(&checkpoint("qwen2"), &sequences(), &place, &Silent).unwrap_err();
    assert!(of_model.to_string().contains("another model"), "{of_model}");
    let of_text = calibrate(&checkpoint("llama"), &sequences()[1..], &place, &Silent).unwrap_err();
    assert!(of_text.to_string().contains("another text"), "{of_text}");
    let opened = Statistics::open(folder.path(), &checkpoint("qwen2"), &Silent).unwrap_err();
    assert!(opened.to_string().contains("another model"), "{opened}");

    // left by a run that was killed at its very beginning
    let begun = tempfile::tempdir().unwrap();
    fs::write(begun.path().join("lock"), "").unwrap();
    fs::write(begun.path().join(".secateur-x.part"), "half").unwrap();
    run("llama", begun.path());
    assert!(!begun.path().join(".secateur-x.part").exists());

    let taken = tempfile::tempdir().unwrap();
    fs::write(taken.path().join("letter.txt"), "dear").unwrap();
    let place = Place::Folder(taken.path().to_owned());
    let error = calibrate(&checkpoint("llama"), &sequences(), &place, &Silent).unwrap_err();
    assert!(matches!(error, StatisticsError::FolderTaken { .. }), "{error}");
    assert!(matches!(
        Statistics::open(taken.path(), &checkpoint("llama"), &Silent),
        Err(StatisticsError::Missing { .. })
    ));
}

#[test]
fn every_matrix_has_the_input_that_it_reads() {
    for model in ["llama", "qwen3", "gemma3"] {
        let folder = tempfile::tempdir().unwrap();
        let statistics = run(model, folder.path());
        let checkpoint = checkpoint(model);
        for id in checkpoint.spec.tensor_ids() {
            let moments = statistics.input_of(id).unwrap();
            let is_read =
                id.role.is_matrix() && (id.role != Role::TokenEmbedding || checkpoint.spec.tied_embeddings);
            assert_eq!(moments.is_some(), is_read, "{model} {id:?}");
            let Some(moments) = moments else { continue };
            assert_eq!(Some(&moments.width()), checkpoint.spec.shape(id).unwrap().last(), "{model} {id:?}");
            assert_eq!(moments.tokens(), 120);
        }
        let counts = statistics.token_counts();
        assert_eq!((counts.len(), counts.iter().sum()), (256, 120));
        assert_eq!(counts[0], sequences().iter().flatten().filter(|&&token| token == 0).count() as u64);
        assert_eq!(statistics.block_influence().len(), checkpoint.spec.layers.len());
        let layer = statistics.layer(1).unwrap();
        let down = statistics.input_of(TensorId::in_layer(1, Role::FfnDown)).unwrap();
        assert_eq!(layer.site(Site::FfnDown), down.as_ref());
        assert_eq!(layer.sites().count(), 4);
    }
}
