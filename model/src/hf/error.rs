//! The ways a safetensors file, or an index of several, can be wrong.

use safetensors::{Dtype, SafeTensorError};

use crate::TensorType;

/// One variant per way a safetensors file, an index, or a request to write one, can be wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum SafetensorsError {
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    #[error("has {file_bytes} bytes, too few for a safetensors file")]
    TooShort { file_bytes: u64 },
    #[error("has a header of {header_bytes} bytes; at most {limit} are allowed")]
    HeaderTooLarge { header_bytes: u64, limit: u64 },
    #[error(
        "has a header of {header_bytes} bytes by its first 8 bytes, but only {remaining} bytes follow them"
    )]
    HeaderOutsideFile { header_bytes: u64, remaining: u64 },
    #[error("has a header that cannot be understood: {0}")]
    BadHeader(serde_json::Error),
    #[error("has two tensors named `{name}`")]
    DuplicateTensor { name: String },
    #[error("tensor `{name}` has numbers of type {found:?}; only F32, F16 and BF16 can be read")]
    UnsupportedType { name: String, found: Dtype },
    #[error("tensor `{name}` with shape {shape:?} has more bytes than can be counted")]
    TensorTooLarge { name: String, shape: Vec<usize> },
    #[error("tensor `{name}` lies from byte {start} to {end} of the data, which is no range")]
    BackwardRange { name: String, start: u64, end: u64 },
    #[error("tensor `{name}` with shape {shape:?} needs {expected} bytes, but has {found}")]
    TensorBytes { name: String, shape: Vec<usize>, expected: u64, found: u64 },
    #[error("has tensors that overlap or leave a gap: {0}")]
    Places(SafeTensorError),
    #[error("has {found} bytes of tensor data, but its tensors need {expected}")]
    DataBytes { expected: u64, found: u64 },

    #[error("is an index that cannot be understood: {0}")]
    BadIndex(serde_json::Error),
    #[error("is an index of {found} bytes; at most {limit} are allowed")]
    IndexTooLarge { found: u64, limit: u64 },
    #[error("is an index without tensors")]
    EmptyIndex,
    #[error("puts tensor `{tensor}` into `{file}`, which is not the plain name of a file in the same folder")]
    NotAFileName { tensor: String, file: String },
    #[error("puts tensors into `{file}`, which is missing")]
    MissingShard { file: String },
    #[error("puts tensor `{tensor}` into `{file}`, which does not have it")]
    MissingTensor { tensor: String, file: String },
    #[error("does not say that `{file}` has the tensor `{tensor}`")]
    SurplusTensor { tensor: String, file: String },

    #[error("tensor `{name}` cannot be written as {tensor_type}; safetensors files take f32, f16 and bf16")]
    UnwritableType { name: String, tensor_type: TensorType },
    #[error("no tensor can be named `__metadata__`")]
    ReservedName,
}
