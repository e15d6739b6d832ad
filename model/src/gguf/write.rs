//! Lays out and writes GGUF files of version 3: the size is known before the first byte is written.

use std::io::{self, Write};

use super::header::{alignment, check_unique, tensor_bytes};
use super::{
    GgufError, MAGIC, MAX_ARRAY_DEPTH, Metadata, MetadataArray, MetadataValue, TensorInfo, ValueType,
};
use crate::stored::NewTensor;
use crate::tensor_writer::{TensorWriter, Upcoming, write_zeros};

/// What we write.
const VERSION: u32 = 3;

/// `GGML_MAX_NAME` without the terminating zero: llama.cpp refuses longer names.
const MAX_NAME_BYTES: usize = 63;

/// Where everything will stand in a file that is not written yet.
#[derive(Debug)]
pub struct GgufLayout<'a> {
    metadata: &'a Metadata,
    tensors: Vec<TensorInfo>,
    alignment: u32,
    description_bytes: u64,
    data_offset: u64,
    file_bytes: u64,
}

impl<'a> GgufLayout<'a> {
    /// Lays out the tensors one after the other in the given order, each padded to `general.alignment`.
    ///
    /// # Errors
    /// When stock llama.cpp, or our own reader, would refuse the file: names that repeat or are too long, shapes that do not fit
    /// the type, an alignment that is no power of two, a key without a name, arrays nested too deep.
    pub fn new(metadata: &'a Metadata, new_tensors: &[NewTensor]) -> Result<Self, GgufError> {
        check_unique(new_tensors.iter().map(|tensor| tensor.name.as_str()))?;
        check_metadata(metadata)?;
        let alignment = alignment(metadata)?;
        let mut tensors = Vec::with_capacity(new_tensors.len());
        let mut offset = 0_u64;
        for new in new_tensors {
            let tensor = describe(new, offset)?;
            offset = offset
                .checked_add(tensor.bytes)
                .and_then(|end| end.checked_next_multiple_of(u64::from(alignment)))
                .ok_or_else(|| GgufError::TensorTooLarge {
                    name: tensor.name.clone(),
                    dimensions: tensor.dimensions.clone(),
                })?;
            tensors.push(tensor);
        }
        let mut description = ByteCounter(0);
        write_description(metadata, &tensors, &mut description)?;
        let data_offset = description.0.next_multiple_of(u64::from(alignment));
        let file_bytes = data_offset.checked_add(offset).ok_or(GgufError::FileTooLarge)?;
        Ok(Self { metadata, tensors, alignment, description_bytes: description.0, data_offset, file_bytes })
    }

    /// The exact size of the file, padding included.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Where the tensor data will start, in bytes from the start of the file.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// The tensors in the order in which they have to be written.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Writes the header; the writer that comes back takes the tensors.
    ///
    /// # Errors
    /// When writing fails.
    pub fn start<W: Write>(&self, mut sink: W) -> io::Result<TensorWriter<W>> {
        write_description(self.metadata, &self.tensors, &mut sink)?;
        write_zeros(self.data_offset - self.description_bytes, &mut sink)?;
        let upcoming = self.tensors.iter().map(|tensor| Upcoming {
            name: tensor.name.clone(),
            bytes: tensor.bytes,
            padding: tensor.bytes.next_multiple_of(u64::from(self.alignment)) - tensor.bytes,
        });
        Ok(TensorWriter::new(sink, upcoming))
    }
}

/// The tensor as the header will describe it, at this offset.
fn describe(new: &NewTensor, offset: u64) -> Result<TensorInfo, GgufError> {
    if new.name.len() > MAX_NAME_BYTES {
        return Err(GgufError::NameTooLong { name: new.name.clone() });
    }
    let dimensions: Vec<u64> = new.shape.iter().rev().map(|&size| size as u64).collect();
    let bytes = tensor_bytes(&new.name, &dimensions, new.tensor_type)?;
    Ok(TensorInfo { name: new.name.clone(), dimensions, tensor_type: new.tensor_type, offset, bytes })
}

/// Refuses what the reader would refuse.
fn check_metadata(metadata: &Metadata) -> Result<(), GgufError> {
    for (index, (key, value)) in metadata.iter().enumerate() {
        if key.is_empty() {
            return Err(GgufError::EmptyKey { index: index as u64 });
        }
        if value.as_array().is_some_and(|array| !fits_depth(array, MAX_ARRAY_DEPTH)) {
            return Err(GgufError::NestedTooDeep { key: key.to_owned(), limit: MAX_ARRAY_DEPTH });
        }
    }
    Ok(())
}

/// True if the array is nested at most `levels` deep, itself included.
fn fits_depth(array: &MetadataArray, levels: usize) -> bool {
    match array {
        _ if levels == 0 => false,
        MetadataArray::Array(arrays) => arrays.iter().all(|inner| fits_depth(inner, levels - 1)),
        _ => true,
    }
}

/// Writes everything before the padding in front of the tensor data.
fn write_description(metadata: &Metadata, tensors: &[TensorInfo], sink: &mut impl Write) -> io::Result<()> {
    sink.write_all(&MAGIC)?;
    sink.write_all(&VERSION.to_le_bytes())?;
    write_length(tensors.len(), sink)?;
    write_length(metadata.len(), sink)?;
    for (key, value) in metadata.iter() {
        write_string(key, sink)?;
        write_type(value.value_type(), sink)?;
        write_value(value, sink)?;
    }
    for tensor in tensors {
        write_string(&tensor.name, sink)?;
        sink.write_all(&(tensor.dimensions.len() as u32).to_le_bytes())?;
        for size in &tensor.dimensions {
            sink.write_all(&size.to_le_bytes())?;
        }
        sink.write_all(&tensor.tensor_type.ggml_id().to_le_bytes())?;
        sink.write_all(&tensor.offset.to_le_bytes())?;
    }
    Ok(())
}

fn write_value(value: &MetadataValue, sink: &mut impl Write) -> io::Result<()> {
    match value {
        MetadataValue::U8(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::I8(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::U16(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::I16(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::U32(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::I32(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::F32(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::Bool(value) => sink.write_all(&[u8::from(*value)]),
        MetadataValue::String(value) => write_string(value, sink),
        MetadataValue::Array(array) => write_array(array, sink),
        MetadataValue::U64(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::I64(value) => sink.write_all(&value.to_le_bytes()),
        MetadataValue::F64(value) => sink.write_all(&value.to_le_bytes()),
    }
}

fn write_array(array: &MetadataArray, sink: &mut impl Write) -> io::Result<()> {
    write_type(array.element_type(), sink)?;
    write_length(array.len(), sink)?;
    match array {
        MetadataArray::U8(values) => sink.write_all(values),
        MetadataArray::I8(values) => values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes())),
        MetadataArray::U16(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::I16(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::U32(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::I32(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::F32(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::Bool(values) => {
            values.iter().try_for_each(|&value| sink.write_all(&[u8::from(value)]))
        }
        MetadataArray::String(values) => values.iter().try_for_each(|value| write_string(value, sink)),
        MetadataArray::Array(values) => values.iter().try_for_each(|value| write_array(value, sink)),
        MetadataArray::U64(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::I64(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
        MetadataArray::F64(values) => {
            values.iter().try_for_each(|value| sink.write_all(&value.to_le_bytes()))
        }
    }
}

fn write_type(value_type: ValueType, sink: &mut impl Write) -> io::Result<()> {
    sink.write_all(&value_type.id().to_le_bytes())
}

fn write_string(text: &str, sink: &mut impl Write) -> io::Result<()> {
    write_length(text.len(), sink)?;
    sink.write_all(text.as_bytes())
}

fn write_length(length: usize, sink: &mut impl Write) -> io::Result<()> {
    sink.write_all(&(length as u64).to_le_bytes())
}

/// Counts what is written to it.
struct ByteCounter(u64);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
