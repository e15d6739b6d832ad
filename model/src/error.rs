//! What can go wrong with the files of a checkpoint, with the file it went wrong with.

use std::path::PathBuf;

use crate::dequantize::DequantizeError;
use crate::gguf::GgufError;
use crate::hf::SafetensorsError;
use crate::shape::ShapeError;
use crate::sizes::SpecError;
use crate::tensor_writer::TensorWriteError;
use crate::tokenizer::TokenizerError;

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
    #[error("`{}` is no format that we read; give a Hugging Face folder or a .gguf file", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("`{}` has no config.json, and not exactly one .gguf file either", folder.display())]
    NoConfig { folder: PathBuf },
    #[error("`{}` has {bytes} bytes, more than the {limit} that such a file may have", path.display())]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
    #[error("`{}` is not valid JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("`{}`: {source}", path.display())]
    Spec { path: PathBuf, source: SpecError },
    #[error("`{}`: {source}", path.display())]
    Tokenizer { path: PathBuf, source: TokenizerError },
    #[error("`{}` has {tokens} tokens in its tokenizer and {embedding_rows} rows in its token embedding", path.display())]
    VocabularySize { path: PathBuf, embedding_rows: usize, tokens: usize },
    #[error("`{}`: {source}", path.display())]
    Shape { path: PathBuf, source: ShapeError },
    #[error("`{}` lacks tensor `{name}`", path.display())]
    MissingTensor { path: PathBuf, name: String },
    #[error("`{}` has tensor `{name}`, which this architecture does not use", path.display())]
    SurplusTensor { path: PathBuf, name: String },
    #[error("`{}`: tensor `{name}` has shape {found:?}, expected {expected:?}", path.display())]
    WrongShape { path: PathBuf, name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor `{tensor}`: {source}")]
    Dequantize { tensor: String, source: DequantizeError },
    #[error("`{}`: {source}", path.display())]
    TensorWrite { path: PathBuf, source: TensorWriteError },
    #[error("`{}` was opened for its headers alone, its tensors were not fetched", path.display())]
    HeadersOnly { path: PathBuf },
    #[error("`{}` has {file_bytes} bytes now, too few for tensor `{tensor}`; it was changed while in use", path.display())]
    TensorGone { path: PathBuf, tensor: String, file_bytes: u64 },
}
