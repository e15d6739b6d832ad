//! An opened GGUF model: one file, the parts of a split one, or bytes in memory.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use super::split::{self, SPLIT_KEYS};
use super::{GgufError, GgufHeader, Metadata};
use crate::ModelError;
use crate::stored::{FileBytes, StoredTensor, TensorFiles};

/// A GGUF model whose header was read and checked; its tensors stay in the file until they are mapped.
#[derive(Debug)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// In the order of the file; without the keys that describe how a model is split.
    pub metadata: Metadata,
    /// In the order of the file, those of the first part first.
    pub tensors: Vec<StoredTensor>,
    /// What [`TensorFiles::map`] takes these tensors from.
    pub files: TensorFiles,
}

impl Gguf {
    /// Opens a GGUF file. If it is one part of a split model, the others are found beside it and the whole model is opened.
    ///
    /// # Errors
    /// When a file is missing, is not GGUF or is wrong in any way; see [`GgufError`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_wanted(path, |_| true)
    }

    /// The same without the keys that are not wanted: their values stay unread.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for what is wrong inside such a value.
    pub fn open_wanted(path: &Path, is_wanted: fn(&str) -> bool) -> Result<Self, ModelError> {
        let (file, mut header) = open_header(path, is_wanted)?;
        let part = split::part_of(&header.metadata, path).map_err(|source| at(path, source))?;
        if let Some(part) = part {
            return part.open_all(path, is_wanted);
        }
        let mut model = Self::without_tensors(&mut header);
        let number = model.files.push_disk(path.to_owned(), file);
        model.add_tensors(header, number);
        Ok(model)
    }

    /// Opens a GGUF file that is in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// When the bytes are not a whole GGUF model.
    pub fn from_memory(name: &str, bytes: FileBytes) -> Result<Self, ModelError> {
        let path = Path::new(name);
        let mut header = GgufHeader::parse(&bytes).map_err(|source| at(path, source))?;
        if split::part_of(&header.metadata, path).map_err(|source| at(path, source))?.is_some() {
            return Err(at(path, GgufError::PartInMemory));
        }
        let mut model = Self::without_tensors(&mut header);
        let number = model.files.push_memory(path.to_owned(), bytes);
        model.add_tensors(header, number);
        Ok(model)
    }

    /// A model without tensors yet, with the metadata taken out of its first part.
    pub(super) fn without_tensors(first: &mut GgufHeader) -> Self {
        let mut metadata = std::mem::take(&mut first.metadata);
        for key in SPLIT_KEYS {
            metadata.remove(key);
        }
        Self { version: first.version, metadata, tensors: Vec::new(), files: TensorFiles::default() }
    }

    /// Adds the tensors of a part that is the file of this number.
    pub(super) fn add_tensors(&mut self, part: GgufHeader, file: usize) {
        self.tensors.extend(part.tensors.into_iter().map(|tensor| StoredTensor {
            shape: tensor.shape(),
            tensor_type: tensor.tensor_type,
            file,
            // cannot overflow: the reader has checked that the tensor lies inside its file
            offset: part.data_offset + tensor.offset,
            bytes: tensor.bytes,
            name: tensor.name,
        }));
    }
}

/// Opens a file and reads its header, of the metadata what is wanted.
pub(super) fn open_header(
    path: &Path,
    is_wanted: fn(&str) -> bool,
) -> Result<(File, GgufHeader), ModelError> {
    let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
    // before opening: a pipe would block there
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ModelError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let file_bytes = file.metadata().map_err(unreadable)?.len();
    let reader = BufReader::with_capacity(1 << 18, &file);
    let header = GgufHeader::read_wanted(reader, file_bytes, is_wanted).map_err(|source| at(path, source))?;
    Ok((file, header))
}

/// The error with the file that it is about.
pub(super) fn at(path: &Path, source: GgufError) -> ModelError {
    ModelError::Gguf { path: path.to_owned(), source }
}
