//! Lays out one safetensors file.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::header::{check_unique, tensor_bytes};
use super::{MAX_HEADER_BYTES, SafetensorsError};
use crate::TensorType;
use crate::stored::NewTensor;
use crate::tensor_writer::{TensorWriter, Upcoming};

/// Headers are filled up with spaces to a multiple of this, so that the data behind them are aligned.
const HEADER_ALIGNMENT: usize = 8;

/// Where everything will stand in a file that is not written yet.
#[derive(Debug)]
pub struct SafetensorsLayout {
    tensors: Vec<NewTensor>,
    /// The length of the header, then the header.
    start: Vec<u8>,
    sizes: Vec<u64>,
    data_bytes: u64,
}

impl SafetensorsLayout {
    /// Lays out the tensors one after the other, those of 4 bytes per number first, else in the given order. The format has no
    /// padding, and PyTorch refuses numbers that are not aligned to their own size.
    ///
    /// # Errors
    /// When a type is not F32, F16 or BF16, a name repeats or is reserved, the sizes are beyond counting.
    pub fn new(new_tensors: &[NewTensor]) -> Result<Self, SafetensorsError> {
        Self::with_metadata(new_tensors, "format", "pt")
    }

    /// As [`new`](Self::new), with one entry of metadata in place of PyTorch's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_metadata(
        new_tensors: &[NewTensor],
        key: &str,
        value: &str,
    ) -> Result<Self, SafetensorsError> {
        check_unique(new_tensors.iter().map(|tensor| tensor.name.as_str()))?;
        let mut tensors = new_tensors.to_vec();
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.tensor_type.block_bytes()));
        let mut header = Map::from_iter([("__metadata__".to_owned(), json!({key: value}))]);
        let mut sizes = Vec::with_capacity(tensors.len());
        let mut offset = 0_u64;
        for tensor in &tensors {
            if tensor.name == "__metadata__" {
                return Err(SafetensorsError::ReservedName);
            }
            let dtype = dtype(tensor)?;
            let bytes = tensor_bytes(&tensor.name, &tensor.shape, tensor.tensor_type)?;
            let end = offset.checked_add(bytes).ok_or_else(|| SafetensorsError::TensorTooLarge {
                name: tensor.name.clone(),
                shape: tensor.shape.clone(),
            })?;
            header.insert(
                tensor.name.clone(),
                json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, end]}),
            );
            sizes.push(bytes);
            offset = end;
        }
        Ok(Self { tensors, start: encode(header)?, sizes, data_bytes: offset })
    }

    /// The exact size of the file.
    pub fn file_bytes(&self) -> u64 {
        self.data_bytes.saturating_add(self.start.len() as u64)
    }

    /// The tensors in the order in which they have to be written.
    pub fn tensors(&self) -> &[NewTensor] {
        &self.tensors
    }

    /// Bytes of the tensors alone.
    pub(super) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Writes the header; the writer that comes back takes the tensors.
    ///
    /// # Errors
    /// When writing fails.
    pub fn start<W: Write>(&self, mut sink: W) -> io::Result<TensorWriter<W>> {
        sink.write_all(&self.start)?;
        let upcoming = self.tensors.iter().zip(&self.sizes).map(|(tensor, &bytes)| Upcoming {
            name: tensor.name.clone(),
            bytes,
            padding: 0,
        });
        Ok(TensorWriter::new(sink, upcoming))
    }
}

/// The name of the type in safetensors headers.
fn dtype(tensor: &NewTensor) -> Result<&'static str, SafetensorsError> {
    match tensor.tensor_type {
        TensorType::F32 => Ok("F32"),
        TensorType::F16 => Ok("F16"),
        TensorType::BF16 => Ok("BF16"),
        tensor_type => Err(SafetensorsError::UnwritableType { name: tensor.name.clone(), tensor_type }),
    }
}

/// The header as bytes, its length in front and spaces behind.
fn encode(header: Map<String, Value>) -> Result<Vec<u8>, SafetensorsError> {
    let json = Value::Object(header).to_string();
    let header_bytes = json.len().next_multiple_of(HEADER_ALIGNMENT);
    if header_bytes as u64 > MAX_HEADER_BYTES {
        let header_bytes = header_bytes as u64;
        return Err(SafetensorsError::HeaderTooLarge { header_bytes, limit: MAX_HEADER_BYTES });
    }
    let mut start = (header_bytes as u64).to_le_bytes().to_vec();
    start.extend_from_slice(json.as_bytes());
    start.resize(size_of::<u64>() + header_bytes, b' ');
    Ok(start)
}
