//! Tensors as they lie in files, and the bytes of one of them at a time.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use crate::{ModelError, TensorType};

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// As the file names it.
    pub name: String,
    /// Row-major, outermost first: `[out_features, in_features]`.
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub tensor_type: TensorType,
    /// Which of the [`TensorFiles`] it is in.
    pub file: usize,
    /// In bytes from the start of that file.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl StoredTensor {
    /// Some of its rows, as if they were all that is stored.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        let row_bytes = self.bytes / self.shape[0].max(1) as u64;
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        Self {
            shape,
            offset: self.offset + rows.start as u64 * row_bytes,
            bytes: rows.len() as u64 * row_bytes,
            ..self.clone()
        }
    }
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTensor {
    /// As the file will name it.
    pub name: String,
    /// Row-major, outermost first: `[out_features, in_features]`.
    pub shape: Vec<usize>,
    /// How the numbers will be stored.
    pub tensor_type: TensorType,
}

/// Bytes of a whole file that are in memory already.
#[derive(Debug, Clone)]
pub enum FileBytes {
    /// Part of the program.
    Static(&'static [u8]),
    /// Shared with others.
    Shared(Arc<[u8]>),
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The files that hold the tensors of a checkpoint, opened.
#[derive(Debug, Clone, Default)]
pub struct TensorFiles {
    files: Vec<OpenFile>,
}

#[derive(Debug, Clone)]
enum OpenFile {
    Disk { path: PathBuf, file: Arc<File> },
    Memory { name: PathBuf, bytes: FileBytes },
}

impl TensorFiles {
    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// A file on disk; gives the number that [`StoredTensor::file`] holds.
    pub(crate) fn push_disk(&mut self, path: PathBuf, file: File) -> usize {
        self.files.push(OpenFile::Disk { path, file: Arc::new(file) });
        self.files.len() - 1
    }

    /// A file in memory, with a name for messages.
    pub(crate) fn push_memory(&mut self, name: PathBuf, bytes: FileBytes) -> usize {
        self.files.push(OpenFile::Memory { name, bytes });
        self.files.len() - 1
    }

    /// The paths of the files; files in memory have a name instead.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(OpenFile::path)
    }

    /// Maps the bytes of one tensor, and nothing else, until the result is dropped. Memory in use stays bounded by the tensors that
    /// are held.
    ///
    /// # Errors
    /// When the file became shorter since it was opened, when the system refuses to map it.
    ///
    /// # Panics
    /// When the tensor belongs to other files: its `file` is no index of this list.
    pub fn map(&self, tensor: &StoredTensor) -> Result<TensorBytes, ModelError> {
        let file = &self.files[tensor.file];
        let unreadable = |source| ModelError::Io { path: file.path().to_owned(), source };
        let file_bytes = file.bytes().map_err(unreadable)?;
        if tensor.offset.checked_add(tensor.bytes).is_none_or(|end| end > file_bytes) {
            let (path, tensor) = (file.path().to_owned(), tensor.name.clone());
            return Err(ModelError::TensorGone { path, tensor, file_bytes });
        }
        match file {
            OpenFile::Disk { file, .. } => map_range(file, tensor.offset, tensor.bytes).map_err(unreadable),
            OpenFile::Memory { bytes, .. } => {
                // what is inside a slice is counted in usize
                let start = tensor.offset as usize;
                let range = start..start + tensor.bytes as usize;
                Ok(TensorBytes(Inner::Memory { bytes: bytes.clone(), range }))
            }
        }
    }
}

impl OpenFile {
    /// The length of the file now.
    fn bytes(&self) -> io::Result<u64> {
        match self {
            Self::Disk { file, .. } => Ok(file.metadata()?.len()),
            Self::Memory { bytes, .. } => Ok(bytes.len() as u64),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Disk { path, .. } | Self::Memory { name: path, .. } => path,
        }
    }
}

fn map_range(file: &File, offset: u64, bytes: u64) -> io::Result<TensorBytes> {
    let bytes = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // SAFETY: a map is sound as long as nobody changes or shortens the file while it lives. Nothing in this program writes to a file in
    // place: all writing is to a new file that is then renamed over the old one, which leaves the mapped one as it was. The
    // range was inside the file just before. Against other programs that truncate a model while we read it there is no
    // protection in any reader that maps; every bit pattern is a valid `u8`.
    let map = unsafe { MmapOptions::new().offset(offset).len(bytes).map(file)? };
    Ok(TensorBytes(Inner::Mapped(map)))
}

/// The bytes of one tensor. They start wherever the file has them: GGUF aligns tensors, safetensors need not, so numbers have
/// to be read with `bytemuck::pod_read_unaligned` or `from_le_bytes`.
#[derive(Debug)]
pub struct TensorBytes(Inner);

#[derive(Debug)]
enum Inner {
    Mapped(Mmap),
    Memory { bytes: FileBytes, range: Range<usize> },
}

impl Deref for TensorBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Mapped(map) => map,
            Inner::Memory { bytes, range } => &bytes[range.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tensor(offset: u64, bytes: u64) -> StoredTensor {
        StoredTensor {
            name: "t".to_owned(),
            shape: vec![bytes as usize],
            tensor_type: TensorType::F32,
            file: 0,
            offset,
            bytes,
        }
    }

    /// Longer than a few pages, each byte different from its neighbours.
    fn content() -> Vec<u8> {
        (0..50_000_u32).map(|index| (index % 251) as u8).collect()
    }

    fn on_disk() -> TensorFiles {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content()).unwrap();
        let mut files = TensorFiles::default();
        files.push_disk("model.gguf".into(), file);
        files
    }

    fn in_memory() -> TensorFiles {
        let mut files = TensorFiles::default();
        files.push_memory("demo".into(), FileBytes::Shared(content().into()));
        files
    }

    #[test]
    fn any_range_gives_its_bytes() {
        for files in [on_disk(), in_memory()] {
            for (offset, bytes) in
                [(0, 1), (0, 50_000), (4095, 2), (4096, 4096), (4097, 9000), (49_999, 1), (50_000, 0)]
            {
                let range = offset as usize..(offset + bytes) as usize;
                assert_eq!(*files.map(&tensor(offset, bytes)).unwrap(), content()[range]);
            }
        }
    }

    #[test]
    fn a_range_outside_the_file_is_an_error_and_no_crash() {
        for files in [on_disk(), in_memory()] {
            for (offset, bytes) in [(0, 50_001), (50_000, 1), (u64::MAX, 1), (1, u64::MAX)] {
                let error = files.map(&tensor(offset, bytes)).unwrap_err();
                assert!(matches!(error, ModelError::TensorGone { file_bytes: 50_000, .. }), "{error}");
            }
        }
    }
}
