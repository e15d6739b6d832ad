//! Writes the weights of a Hugging Face folder: one safetensors file, or several with an index.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use super::header::tensor_bytes;
use super::index::index_json;
use super::layout::SafetensorsLayout;
use super::{INDEX_FILE, SINGLE_FILE, SafetensorsError};
use crate::ModelError;
use crate::atomic_file::{AtomicFile, write_file};
use crate::stored::NewTensor;
use crate::tensor_writer::{TensorWriteError, TensorWriter};

/// Bytes of tensors in one file before another is begun: what older transformers calls `5GB`.
pub const DEFAULT_MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// Which tensor will be in which file of a folder that is not written yet.
#[derive(Debug)]
pub struct HfWeightsLayout {
    first: Shard,
    others: Vec<Shard>,
    /// `None` for a single file.
    index: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Shard {
    file_name: String,
    layout: SafetensorsLayout,
}

impl HfWeightsLayout {
    /// Fills files in the given order up to `max_shard_bytes` of tensors each; a tensor larger than that has a file of its own.
    ///
    /// # Errors
    /// As [`SafetensorsLayout::new`].
    pub fn new(tensors: &[NewTensor], max_shard_bytes: u64) -> Result<Self, SafetensorsError> {
        let whole = SafetensorsLayout::new(tensors)?;
        if whole.data_bytes() <= max_shard_bytes {
            let first = Shard { file_name: SINGLE_FILE.to_owned(), layout: whole };
            return Ok(Self { first, others: Vec::new(), index: None });
        }
        let groups = group(tensors, max_shard_bytes)?;
        let count = groups.len();
        let mut weight_map = BTreeMap::new();
        let mut shards = Vec::with_capacity(count);
        for (position, group) in groups.into_iter().enumerate() {
            let file_name = format!("model-{:05}-of-{count:05}.safetensors", position + 1);
            weight_map.extend(group.iter().map(|tensor| (tensor.name.as_str(), file_name.clone())));
            shards.push(Shard { file_name, layout: SafetensorsLayout::new(group)? });
        }
        let index = index_json(whole.data_bytes(), &weight_map);
        // there is one group at least, even of nothing
        let first = shards.remove(0);
        Ok(Self { first, others: shards, index: Some(index) })
    }

    /// The exact size of all files together, the index included.
    pub fn total_bytes(&self) -> u64 {
        let index = self.index.as_ref().map_or(0, |json| json.len() as u64);
        self.shards().map(|shard| shard.layout.file_bytes()).sum::<u64>() + index
    }

    /// The names of the files that will be written.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        let shards = self.shards().map(|shard| shard.file_name.as_str());
        shards.chain(self.index.is_some().then_some(INDEX_FILE))
    }

    /// The tensors in the order in which they have to be written.
    pub fn tensors(&self) -> impl Iterator<Item = &NewTensor> {
        self.shards().flat_map(|shard| shard.layout.tensors())
    }

    /// Begins writing into a folder that exists and has no other weights in it.
    ///
    /// # Errors
    /// When a file cannot be made there.
    pub fn start(self, folder: &Path) -> Result<HfWeightsWriter, ModelError> {
        let current = ShardWriter::start(&self.first, folder)?;
        let (folder, upcoming) = (folder.to_owned(), self.others.into());
        Ok(HfWeightsWriter { folder, current, upcoming, finished: Vec::new(), index: self.index })
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Cuts the list into runs of at most `max_bytes`.
fn group(tensors: &[NewTensor], max_bytes: u64) -> Result<Vec<&[NewTensor]>, SafetensorsError> {
    let mut groups = Vec::new();
    let (mut start, mut filled) = (0, 0_u64);
    for (position, tensor) in tensors.iter().enumerate() {
        let bytes = tensor_bytes(&tensor.name, &tensor.shape, tensor.tensor_type)?;
        if position > start && filled.saturating_add(bytes) > max_bytes {
            groups.push(&tensors[start..position]);
            (start, filled) = (position, 0);
        }
        filled = filled.saturating_add(bytes);
    }
    groups.push(&tensors[start..]);
    Ok(groups)
}

/// Takes the tensors in order, like [`TensorWriter`]. No file is in its place before [`finish`](Self::finish), and the
/// index comes last.
#[derive(Debug)]
pub struct HfWeightsWriter {
    folder: PathBuf,
    current: ShardWriter,
    upcoming: VecDeque<Shard>,
    finished: Vec<AtomicFile>,
    index: Option<Vec<u8>>,
}

#[derive(Debug)]
struct ShardWriter {
    path: PathBuf,
    writer: TensorWriter<AtomicFile>,
}

impl HfWeightsWriter {
    /// Begins the next tensor, which must be the one of this name.
    ///
    /// # Errors
    /// As [`TensorWriter::begin`].
    pub fn begin(&mut self, name: &str) -> Result<(), ModelError> {
        if !self.current.writer.has_upcoming()
            && let Some(shard) = self.upcoming.pop_front()
        {
            let next = ShardWriter::start(&shard, &self.folder)?;
            let full = std::mem::replace(&mut self.current, next);
            self.finished.push(full.finish()?);
        }
        self.current.writer.begin(name).map_err(|source| self.current.error(source))
    }

    /// Appends bytes to the tensor that was begun.
    ///
    /// # Errors
    /// As [`TensorWriter::write_all`].
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.current.writer.write_all(bytes).map_err(|source| self.current.error(source))
    }

    /// Checks that all tensors are there and moves the files to their places.
    ///
    /// # Errors
    /// When a tensor is missing or lacks bytes, when a file cannot be completed.
    pub fn finish(mut self) -> Result<(), ModelError> {
        self.finished.push(self.current.finish()?);
        if let Some(shard) = self.upcoming.pop_front() {
            // a file with no tensors is never laid out beside others
            let name = shard.layout.tensors().first().map(|tensor| tensor.name.clone()).unwrap_or_default();
            let path = self.folder.join(shard.file_name);
            return Err(ModelError::TensorWrite { path, source: TensorWriteError::Missing { name } });
        }
        for file in self.finished {
            file.commit()?;
        }
        match self.index {
            Some(json) => write_file(self.folder.join(INDEX_FILE), &json),
            None => Ok(()),
        }
    }
}

impl ShardWriter {
    fn start(shard: &Shard, folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(&shard.file_name);
        let file = AtomicFile::create(&path)?;
        match shard.layout.start(file) {
            Ok(writer) => Ok(Self { path, writer }),
            Err(source) => Err(ModelError::Io { path, source }),
        }
    }

    fn finish(self) -> Result<AtomicFile, ModelError> {
        let Self { path, writer } = self;
        writer.finish().map_err(|source| ModelError::TensorWrite { path, source })
    }

    fn error(&self, source: TensorWriteError) -> ModelError {
        ModelError::TensorWrite { path: self.path.clone(), source }
    }
}
