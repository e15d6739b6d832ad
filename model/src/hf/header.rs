//! Reads the header of one safetensors file.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{MAX_HEADER_BYTES, SafetensorsError};
use crate::TensorType;
use crate::stored::StoredTensor;

/// Bytes of the number in front of the header.
const LENGTH_BYTES: u64 = 8;

/// Reads the header from the start of a safetensors file of `file_bytes` bytes, and nothing behind it. Tensors come in
/// the order of their data; `file` is what [`StoredTensor::file`] will be.
///
/// # Errors
/// Every way in which the bytes are not a safetensors file that we can use; see [`SafetensorsError`].
pub fn read_header(
    mut reader: impl Read,
    file_bytes: u64,
    file: usize,
) -> Result<Vec<StoredTensor>, SafetensorsError> {
    let header = read_header_bytes(&mut reader, file_bytes)?;
    let Header(mut tensors) = serde_json::from_slice(&header).map_err(SafetensorsError::BadHeader)?;
    let data_offset = LENGTH_BYTES + header.len() as u64;
    check_unique(tensors.iter().map(|(name, _)| name.as_str()))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let stored = tensors
        .iter()
        .map(|(name, info)| to_stored(name, info, data_offset, file))
        .collect::<Result<Vec<_>, _>>()?;
    // the crate's own check of all files at once adds lengths without a check for overflow, so we compare the total ourselves
    let metadata = Metadata::new(None, tensors).map_err(SafetensorsError::Places)?;
    let (expected, found) = (metadata.data_len() as u64, file_bytes - data_offset);
    if expected != found {
        return Err(SafetensorsError::DataBytes { expected, found });
    }
    Ok(stored)
}

fn read_header_bytes(reader: &mut impl Read, file_bytes: u64) -> Result<Vec<u8>, SafetensorsError> {
    let remaining = file_bytes.checked_sub(LENGTH_BYTES).ok_or(SafetensorsError::TooShort { file_bytes })?;
    let mut length = [0; LENGTH_BYTES as usize];
    reader.read_exact(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > remaining {
        return Err(SafetensorsError::HeaderOutsideFile { header_bytes, remaining });
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(SafetensorsError::HeaderTooLarge { header_bytes, limit: MAX_HEADER_BYTES });
    }
    let mut header = vec![0; header_bytes as usize];
    reader.read_exact(&mut header)?;
    Ok(header)
}

fn to_stored(
    name: &str,
    info: &TensorInfo,
    data_offset: u64,
    file: usize,
) -> Result<StoredTensor, SafetensorsError> {
    let tensor_type = match info.dtype {
        Dtype::F32 => TensorType::F32,
        Dtype::F16 => TensorType::F16,
        Dtype::BF16 => TensorType::BF16,
        found => return Err(SafetensorsError::UnsupportedType { name: name.to_owned(), found }),
    };
    let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    let expected = tensor_bytes(name, &info.shape, tensor_type)?;
    let found = end.checked_sub(start).ok_or_else(|| SafetensorsError::BackwardRange {
        name: name.to_owned(),
        start,
        end,
    })?;
    if found != expected {
        let (name, shape) = (name.to_owned(), info.shape.clone());
        return Err(SafetensorsError::TensorBytes { name, shape, expected, found });
    }
    Ok(StoredTensor {
        name: name.to_owned(),
        shape: info.shape.clone(),
        tensor_type,
        file,
        // a sum that saturates lies outside the file, which the caller refuses
        offset: data_offset.saturating_add(start),
        bytes: found,
    })
}

/// Bytes of a tensor of one of the types that store each number on its own.
pub(super) fn tensor_bytes(
    name: &str,
    shape: &[usize],
    tensor_type: TensorType,
) -> Result<u64, SafetensorsError> {
    shape
        .iter()
        .try_fold(tensor_type.block_bytes() as u64, |product, &size| product.checked_mul(size as u64))
        .ok_or_else(|| SafetensorsError::TensorTooLarge { name: name.to_owned(), shape: shape.to_owned() })
}

/// Refuses a second tensor of the same name.
pub(super) fn check_unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), SafetensorsError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(SafetensorsError::DuplicateTensor { name: name.to_owned() });
        }
    }
    Ok(())
}

/// The header's JSON object as a list, so that a name that comes twice is not lost.
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<HashMap<String, String>>()?;
                    } else {
                        tensors.push((name, map.next_value()?));
                    }
                }
                Ok(Header(tensors))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
