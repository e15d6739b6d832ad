//! The ways a GGUF file can be wrong.

use std::path::PathBuf;

use crate::TensorType;

/// Where in the header the reader was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Magic, version and counts.
    Start,
    /// The name of this key, counted from 0.
    Key(u64),
    /// The value of this key.
    Value(String),
    /// The name of this tensor, counted from 0.
    TensorName(u64),
    /// Shape, type and offset of this tensor.
    Tensor(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => write!(f, "the first 24 bytes"),
            Self::Key(index) => write!(f, "the name of metadata key {index} (counted from 0)"),
            Self::Value(key) => write!(f, "the value of `{key}`"),
            Self::TensorName(index) => write!(f, "the name of tensor {index} (counted from 0)"),
            Self::Tensor(name) => write!(f, "the description of tensor `{name}`"),
        }
    }
}

/// One variant per way a GGUF file, or a request to write one, can be wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum GgufError {
    #[error("cannot be read or written")]
    Io(#[from] std::io::Error),

    #[error("is not a GGUF file: it starts with `{}`, expected `GGUF`", found.escape_ascii())]
    NotGguf { found: [u8; 4] },
    #[error("is GGUF version 1, which llama.cpp dropped in 2023; convert the model again")]
    VersionOne,
    #[error("is a big-endian GGUF file; only little-endian files are read")]
    BigEndian,
    #[error("is GGUF version {found}; versions 2 and 3 are known")]
    UnknownVersion { found: u32 },

    #[error("ends within {place}: {needed} bytes needed at byte {offset}, {remaining} left")]
    TooShort { place: Place, offset: u64, needed: u64, remaining: u64 },
    #[error("says that it has {count} {items}, which do not fit into the {remaining} bytes that are left")]
    CountTooLarge { items: &'static str, count: u64, remaining: u64 },
    #[error("has text that is not UTF-8 in {place}, at byte {offset}")]
    NotUtf8 { place: Place, offset: u64 },

    #[error("has an empty name for metadata key {index} (counted from 0)")]
    EmptyKey { index: u64 },
    #[error("has the metadata key `{key}` twice")]
    DuplicateKey { key: String },
    #[error("has a value of unknown type {id} at `{key}`; known are 0 to 12")]
    UnknownValueType { key: String, id: u32 },
    #[error("has the byte {found} as a truth value at `{key}`; expected 0 or 1")]
    NotBool { key: String, found: u8 },
    #[error("nests arrays deeper than {limit} at `{key}`")]
    NestedTooDeep { key: String, limit: usize },
    #[error("has no metadata key `{key}`")]
    MissingKey { key: String },
    #[error("has {found} at `{key}`, expected {expected}")]
    WrongType { key: String, expected: &'static str, found: String },
    #[error("has `general.alignment` {found}, expected a power of two")]
    BadAlignment { found: u32 },

    #[error("has two tensors named `{name}`")]
    DuplicateTensor { name: String },
    #[error("tensor `{name}`: the name has {} bytes, llama.cpp takes at most 63", name.len())]
    NameTooLong { name: String },
    #[error("tensor `{name}` has {found} dimensions, expected 1 to 4")]
    DimensionCount { name: String, found: u64 },
    #[error("tensor `{name}` has a dimension of size 0: {dimensions:?}")]
    EmptyDimension { name: String, dimensions: Vec<u64> },
    #[error("tensor `{name}` with dimensions {dimensions:?} has more elements than can be counted")]
    TensorTooLarge { name: String, dimensions: Vec<u64> },
    #[error("tensor `{name}` has type number {id}, which is not a type we know")]
    UnknownTensorType { name: String, id: u32 },
    #[error("tensor `{name}` has rows of {row_len} numbers; {tensor_type} needs a multiple of {}", tensor_type.block_len())]
    RowNotBlocks { name: String, tensor_type: TensorType, row_len: u64 },
    #[error("tensor `{name}` starts at byte {offset} of the data, expected a multiple of {alignment}")]
    Misaligned { name: String, offset: u64, alignment: u32 },
    #[error(
        "tensor `{name}` lies outside the file: {bytes} bytes from byte {start}, but the file has {file_bytes}"
    )]
    OutsideFile { name: String, start: u64, bytes: u64, file_bytes: u64 },
    #[error("would have more bytes than can be counted")]
    FileTooLarge,
    #[error("tensors `{first}` and `{second}` overlap")]
    Overlap { first: String, second: String },

    #[error("is part {part} of {count} by its metadata, so its name should end in `{expected}`")]
    PartName { part: u64, count: u64, expected: String },
    #[error("is one part of a split model, and `{}` is missing", part.display())]
    MissingPart { part: PathBuf },
    #[error("belongs with `{}`, which is of another model: `{key}` is {found}, expected {expected}", part.display())]
    ForeignPart { part: PathBuf, key: &'static str, expected: u64, found: u64 },
    #[error("is one part of a split model whose parts have {found} tensors together, expected {expected}")]
    PartsIncomplete { expected: u64, found: u64 },
    #[error("is one part of a split model; parts can only be found beside a file on disk")]
    PartInMemory,
}
