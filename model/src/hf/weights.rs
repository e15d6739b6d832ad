//! The weights of a Hugging Face folder: one safetensors file, or several with an index.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::folder::find_file;
use super::header::read_header;
use super::index::Index;
use super::{INDEX_FILE, MAX_HEADER_BYTES, SINGLE_FILE, SafetensorsError};
use crate::ModelError;
use crate::stored::{StoredTensor, TensorFiles};

/// Weights whose headers were read and checked; the tensors stay in the files until they are mapped.
#[derive(Debug)]
pub struct HfWeights {
    /// File by file, in the order of their data.
    pub tensors: Vec<StoredTensor>,
    /// What [`TensorFiles::map`] takes these tensors from.
    pub files: TensorFiles,
}

impl HfWeights {
    /// Opens `model.safetensors`, or else the files that `model.safetensors.index.json` names, like transformers does.
    ///
    /// # Errors
    /// When there are no weights or only pickled ones, when a file is missing, wrong, or a link out of the folder.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let mut weights = Self { tensors: Vec::new(), files: TensorFiles::default() };
        if let Some(path) = find_file(folder, SINGLE_FILE)? {
            weights.tensors = weights.files.open_safetensors(&path)?;
        } else if let Some(path) = find_file(folder, INDEX_FILE)? {
            let index = read_index(&path)?;
            for name in index.files() {
                weights.open_shard(folder, name, &index, &path)?;
            }
        } else {
            return Err(no_weights(folder)?);
        }
        Ok(weights)
    }

    fn open_shard(
        &mut self,
        folder: &Path,
        name: &str,
        index: &Index,
        index_path: &Path,
    ) -> Result<(), ModelError> {
        let shard = find_file(folder, name)?
            .ok_or_else(|| at(index_path, SafetensorsError::MissingShard { file: name.to_owned() }))?;
        let tensors = self.files.open_safetensors(&shard)?;
        index.check(name, &tensors).map_err(|source| at(index_path, source))?;
        self.tensors.extend(tensors);
        Ok(())
    }
}

impl TensorFiles {
    /// Opens one safetensors file and reads its header; gives its tensors.
    ///
    /// # Errors
    /// When it is not there or not as the format has it.
    pub(crate) fn open_safetensors(&mut self, path: &Path) -> Result<Vec<StoredTensor>, ModelError> {
        let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let file_bytes = file.metadata().map_err(unreadable)?.len();
        let tensors = read_header(&file, file_bytes, self.len()).map_err(|source| at(path, source))?;
        self.push_disk(path.to_owned(), file);
        Ok(tensors)
    }
}

fn read_index(path: &Path) -> Result<Index, ModelError> {
    let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    if found > MAX_HEADER_BYTES {
        return Err(at(path, SafetensorsError::IndexTooLarge { found, limit: MAX_HEADER_BYTES }));
    }
    let mut json = Vec::new();
    file.take(MAX_HEADER_BYTES).read_to_end(&mut json).map_err(unreadable)?;
    Index::parse(&json).map_err(|source| at(path, source))
}

/// Why a folder without safetensors has no weights for us.
fn no_weights(folder: &Path) -> Result<ModelError, ModelError> {
    let unreadable = |source| ModelError::Io { path: folder.to_owned(), source };
    let mut pickles = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if is_pickle(&name) {
            pickles.push(name);
        }
    }
    pickles.sort();
    let folder = folder.to_owned();
    if pickles.is_empty() {
        return Ok(ModelError::NoWeights { folder });
    }
    Ok(ModelError::OnlyPickle { folder, files: pickles })
}

/// True for names under which `torch.save` leaves pickled weights.
fn is_pickle(name: &str) -> bool {
    let name = name.to_lowercase();
    match name.rsplit_once('.') {
        Some((stem, "bin")) => stem.starts_with("pytorch_model"),
        Some((_, extension)) => ["pt", "pth", "pkl", "ckpt"].contains(&extension),
        None => false,
    }
}

fn at(path: &Path, source: SafetensorsError) -> ModelError {
    ModelError::Safetensors { path: path.to_owned(), source }
}
