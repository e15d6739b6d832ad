//! The folder in which statistics grow, layer by layer, and where they stay.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use secateur_model::atomic_file::write_file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::collector::Collector;
use super::tensor_file::{self, Label, Tensors};
use super::{InputMoments, LayerStatistics, Moments, StatisticsError, fingerprint, hidden_file};
use crate::checksum::hexadecimal;
use crate::forward::{Site, TokenRows};
use crate::progress::Progress;

/// What the folder is of.
const SUBJECT_NAME: &str = "statistics.json";
/// What the output matrix reads.
const OUTPUT_NAME: &str = "output.safetensors";
/// The hidden states after the last layer that is done; gone at the end.
const HIDDEN_NAME: &str = "hidden.safetensors";
/// Held by the process that is at work.
const LOCK_NAME: &str = "lock";

/// How long to wait before looking again whether another process is done.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Digits of the fingerprint that name a folder of the cache: enough that no two are the same.
const FOLDER_DIGITS: usize = 32;

/// Where statistics are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a cache, below this folder, by fingerprint.
    Cache(PathBuf),
    /// In this folder itself.
    Folder(PathBuf),
}

/// What statistics are of: all that their bytes depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// The version of this record: 1.
    pub schema: u32,
    /// This program's.
    pub version: String,
    /// SHA-256 of the model's spec and weights.
    pub model: String,
    /// Layers of the model.
    pub layers: usize,
    /// The tokens that pass it.
    pub sequences: Vec<Vec<u32>>,
}

impl Subject {
    pub(super) fn new(model: String, layers: usize, sequences: &[Vec<u32>]) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { schema: 1, version, model, layers, sequences: sequences.to_vec() }
    }

    /// SHA-256 of all of it.
    pub(super) fn fingerprint(&self) -> String {
        let Self { schema, version, model, layers, sequences } = self;
        let sequences = fingerprint::of_sequences(sequences);
        let text = format!("statistics {schema} {version} {model} {layers} {sequences}");
        hexadecimal(&Sha256::digest(text.as_bytes()))
    }

    pub(super) fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Reads what a folder is of; `None` if it does not say.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StatisticsError> {
        let path = folder.join(SUBJECT_NAME);
        let damaged = |error: serde_json::Error| StatisticsError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StatisticsError::Unreadable { path, source }),
        }
    }
}

/// The files of one subject.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) folder: PathBuf,
    fingerprint: String,
}

impl Files {
    pub(super) fn new(folder: PathBuf, subject: &Subject) -> Self {
        Self { folder, fingerprint: subject.fingerprint() }
    }

    pub(super) fn layer_path(&self, layer: usize) -> PathBuf {
        self.folder.join(format!("layer-{layer:03}.safetensors"))
    }

    pub(super) fn output_path(&self) -> PathBuf {
        self.folder.join(OUTPUT_NAME)
    }

    /// What was seen in a layer.
    pub(super) fn layer(&self, layer: usize) -> Result<Option<LayerStatistics>, StatisticsError> {
        let path = self.layer_path(layer);
        let Some((label, mut tensors)) = tensor_file::read(&path, &self.fingerprint)? else {
            return Ok(None);
        };
        let sites =
            Site::ALL.into_iter().filter_map(|site| Some((site, take(&mut tensors, site.name(), &label)?)));
        let sites = sites.collect();
        match label.block_influence {
            Some(block_influence) if tensors.is_empty() => {
                Ok(Some(LayerStatistics { sites, block_influence }))
            }
            _ => Err(StatisticsError::Damaged { path, reason: "it is no layer".to_owned() }),
        }
    }

    /// What the output matrix reads.
    pub(super) fn output(&self) -> Result<Option<InputMoments>, StatisticsError> {
        let path = self.output_path();
        let Some((label, mut tensors)) = tensor_file::read(&path, &self.fingerprint)? else {
            return Ok(None);
        };
        match take(&mut tensors, "output", &label) {
            Some(moments) => Ok(Some(moments)),
            None => Err(StatisticsError::Damaged { path, reason: "it is not about the output".to_owned() }),
        }
    }

    pub(super) fn write_layer(&self, layer: usize, collector: Collector) -> Result<(), StatisticsError> {
        let block_influence = Some(collector.block_influence());
        let mut tensors = Tensors::new();
        let mut tokens = 0;
        for (site, moments) in collector.sites {
            tokens = put(&mut tensors, site.name(), &moments);
        }
        let label = Label { block_influence, ..self.label(tokens) };
        tensor_file::write(&self.layer_path(layer), label, &tensors)
    }

    pub(super) fn write_output(&self, moments: &Moments) -> Result<(), StatisticsError> {
        let mut tensors = Tensors::new();
        let tokens = put(&mut tensors, "output", moments);
        tensor_file::write(&self.output_path(), self.label(tokens), &tensors)
    }

    fn label(&self, tokens: u64) -> Label {
        Label {
            fingerprint: self.fingerprint.clone(),
            sha256: String::new(),
            tokens,
            block_influence: None,
            next_layer: None,
        }
    }
}

fn put(tensors: &mut Tensors, name: &str, moments: &Moments) -> u64 {
    let averages = moments.averages();
    let (triangle, mean) = (averages.triangle().to_vec(), averages.mean().to_vec());
    tensors.insert(format!("{name}.second"), (vec![triangle.len()], triangle));
    tensors.insert(format!("{name}.mean"), (vec![mean.len()], mean));
    averages.tokens()
}

fn take(tensors: &mut Tensors, name: &str, label: &Label) -> Option<InputMoments> {
    let (_, triangle) = tensors.remove(&format!("{name}.second"))?;
    let (_, mean) = tensors.remove(&format!("{name}.mean"))?;
    let is_triangle = triangle.len() == mean.len() * (mean.len() + 1) / 2;
    is_triangle.then(|| InputMoments::new(label.tokens, triangle, mean))
}

/// A folder that this process alone works in.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) files: Files,
    _lock: File,
}

impl Store {
    /// Takes the place for a subject. Waits while another process works there.
    pub(super) fn begin(
        place: &Place,
        subject: &Subject,
        progress: &dyn Progress,
    ) -> Result<Self, StatisticsError> {
        let fingerprint = subject.fingerprint();
        let folder = match place {
            Place::Cache(root) => root.join("statistics").join(&fingerprint[..FOLDER_DIGITS]),
            Place::Folder(folder) => folder.clone(),
        };
        let unwritable = |source| StatisticsError::Write { path: folder.clone(), source };
        let found = Subject::read(&folder);
        if let Place::Folder(_) = place {
            check_free(&folder, found?.as_ref(), subject)?;
        } else if let Ok(Some(found)) = found
            && found != *subject
        {
            return Err(StatisticsError::OtherStatistics {
                path: folder,
                of: "something else under this name",
            });
        }
        fs::create_dir_all(&folder).map_err(unwritable)?;
        let lock = lock(&folder.join(LOCK_NAME), progress)?;
        remove_leftovers(&folder).map_err(unwritable)?;
        let json = serde_json::to_vec(subject).map_err(|error| unwritable(error.into()))?;
        write_file(folder.join(SUBJECT_NAME), &json)?;
        Ok(Self { files: Files::new(folder, subject), _lock: lock })
    }

    /// Keeps the hidden states before a layer, so that a run which ends there can go on from them. To compute them again would take
    /// half of all that was done so far, writing them takes a few hundredths of the layer.
    pub(super) fn write_hidden(
        &self,
        next_layer: usize,
        texts: &mut TokenRows,
    ) -> Result<(), StatisticsError> {
        let label = Label { next_layer: Some(next_layer), ..self.files.label(texts.tokens() as u64) };
        hidden_file::write(&self.files.folder.join(HIDDEN_NAME), label, texts)
    }

    /// Takes over the hidden states that a run has left, and gives the layer that comes next; `None` if they are not whole, so that `texts` have to
    /// begin anew.
    pub(super) fn hidden(&self, texts: &mut TokenRows) -> Option<usize> {
        hidden_file::read(&self.files.folder.join(HIDDEN_NAME), &self.files.fingerprint, texts)
    }

    pub(super) fn remove_hidden(&self) -> Result<(), StatisticsError> {
        let path = self.files.folder.join(HIDDEN_NAME);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StatisticsError::Write { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a folder that holds something else than the beginnings of these statistics.
fn check_free(folder: &Path, found: Option<&Subject>, subject: &Subject) -> Result<(), StatisticsError> {
    let path = folder.to_owned();
    match found {
        Some(found) if found == subject => Ok(()),
        Some(found) if found.model != subject.model => {
            Err(StatisticsError::OtherStatistics { path, of: "another model" })
        }
        Some(found) if found.sequences != subject.sequences => {
            Err(StatisticsError::OtherStatistics { path, of: "another text" })
        }
        Some(_) => Err(StatisticsError::OtherStatistics { path, of: "another version" }),
        None => match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StatisticsError::Write { path, source }),
            // a run may have been killed before it could say what it is of
            Ok(entries) => {
                let mut paths = entries.flatten().map(|entry| entry.path());
                let is_ours = paths.all(|path| is_lock(&path) || is_begun(&path));
                if is_ours { Ok(()) } else { Err(StatisticsError::FolderTaken { path }) }
            }
        },
    }
}

fn lock(path: &Path, progress: &dyn Progress) -> Result<File, StatisticsError> {
    let unwritable = |source| StatisticsError::Write { path: path.to_owned(), source };
    let file = File::create(path).map_err(unwritable)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if progress.is_interrupted() => {
                return Err(StatisticsError::Interrupted);
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
    }
}

/// Removes files that a killed process has begun. Whoever holds the lock is alone here.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_begun(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn is_lock(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == LOCK_NAME)
}

/// True for a file that was not finished.
fn is_begun(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".secateur-") && name.ends_with(".part")
}
