//! What stands before the tensor data of a GGUF file.

use std::collections::HashSet;

use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgufError, MAX_DIMENSIONS, Metadata, MetadataValue};
use crate::TensorType;

/// The header of a GGUF file, checked: names are unique, tensors lie inside the file and do not overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufHeader {
    /// 2 or 3.
    pub version: u32,
    /// In the order of the file.
    pub metadata: Metadata,
    /// In the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// Tensors start at multiples of this many bytes, a power of two.
    pub alignment: u32,
    /// Where the tensor data start, in bytes from the start of the file.
    pub data_offset: u64,
}

/// One tensor as the header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Unique in the file.
    pub name: String,
    /// 1 to 4 sizes in the order of the file: the row length first, `[in_features, out_features]`.
    pub dimensions: Vec<u64>,
    /// How the numbers are stored.
    pub tensor_type: TensorType,
    /// In bytes from the start of the tensor data, a multiple of the alignment.
    pub offset: u64,
    /// Size in bytes, without padding.
    pub bytes: u64,
}

impl TensorInfo {
    /// Row-major shape, outermost first: `[out_features, in_features]`.
    pub fn shape(&self) -> Vec<usize> {
        self.dimensions.iter().rev().map(|&size| size as usize).collect()
    }
}

/// The alignment that the metadata ask for.
pub(super) fn alignment(metadata: &Metadata) -> Result<u32, GgufError> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(MetadataValue::U32(alignment)) if alignment.is_power_of_two() => Ok(*alignment),
        Some(MetadataValue::U32(alignment)) => Err(GgufError::BadAlignment { found: *alignment }),
        // llama.cpp accepts no other width here
        Some(other) => Err(GgufError::WrongType {
            key: ALIGNMENT_KEY.to_owned(),
            expected: "u32",
            found: other.type_name(),
        }),
    }
}

/// Bytes of a tensor with these dimensions, row length first.
pub(super) fn tensor_bytes(
    name: &str,
    dimensions: &[u64],
    tensor_type: TensorType,
) -> Result<u64, GgufError> {
    if dimensions.is_empty() || dimensions.len() > MAX_DIMENSIONS {
        return Err(GgufError::DimensionCount { name: name.to_owned(), found: dimensions.len() as u64 });
    }
    if dimensions.contains(&0) {
        return Err(GgufError::EmptyDimension { name: name.to_owned(), dimensions: dimensions.to_owned() });
    }
    let too_large = || GgufError::TensorTooLarge { name: name.to_owned(), dimensions: dimensions.to_owned() };
    let row_len = dimensions[0];
    let row = usize::try_from(row_len).map_err(|_| too_large())?;
    if !tensor_type.is_legal_for(row) {
        return Err(GgufError::RowNotBlocks { name: name.to_owned(), tensor_type, row_len });
    }
    // elements are counted in i64 by ggml, and shapes in usize by us
    let elements = dimensions
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size))
        .filter(|&elements| i64::try_from(elements).is_ok() && usize::try_from(elements).is_ok())
        .ok_or_else(too_large)?;
    (elements / tensor_type.block_len() as u64)
        .checked_mul(tensor_type.block_bytes() as u64)
        .ok_or_else(too_large)
}

/// Refuses a second tensor of the same name.
pub(super) fn check_unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), GgufError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(GgufError::DuplicateTensor { name: name.to_owned() });
        }
    }
    Ok(())
}
