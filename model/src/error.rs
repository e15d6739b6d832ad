//! What can go wrong with the files of a checkpoint, with the file it went wrong with.

use std::path::PathBuf;

use crate::gguf::GgufError;
use crate::hf::SafetensorsError;
use crate::tensor_writer::TensorWriteError;

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum ModelError {
    #[error("`{}` cannot be read or written", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` {source}", path.display())]
    Gguf { path: PathBuf, source: GgufError },
    #[error("`{}` {source}", path.display())]
    Safetensors { path: PathBuf, source: SafetensorsError },
    #[error("`{}` links to `{}`, outside the checkpoint", path.display(), target.display())]
    LinkLeadsOut { path: PathBuf, target: PathBuf },
    #[error("`{}` has no weights: neither `model.safetensors` nor `model.safetensors.index.json`", folder.display())]
    NoWeights { folder: PathBuf },
    #[error(
        "`{}` has pickled weights only ({}); pickle can run any program and is never loaded, convert the weights to safetensors",
        folder.display(), files.join(", ")
    )]
    OnlyPickle { folder: PathBuf, files: Vec<String> },
    #[error("`{}`: {source}", path.display())]
    TensorWrite { path: PathBuf, source: TensorWriteError },
    #[error("`{}` has {file_bytes} bytes now, too few for tensor `{tensor}`; it was changed while in use", path.display())]
    TensorGone { path: PathBuf, tensor: String, file_bytes: u64 },
}
