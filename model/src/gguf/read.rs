//! Reads a GGUF header and trusts nothing in it.
//!
//! Every count is compared with the bytes that are left before anything is allocated for it, and memory grows only
//! with bytes that were really read.

use std::io::BufRead;

use super::header::{alignment, check_unique, tensor_bytes};
use super::{
    GgufError, GgufHeader, MAGIC, MAX_ARRAY_DEPTH, MAX_DIMENSIONS, Metadata, MetadataArray, MetadataValue,
    Place, TensorInfo, ValueType,
};
use crate::TensorType;

/// Strings and arrays up to this many bytes are allocated at once; longer ones grow as they are read.
const CHUNK_BYTES: u64 = 1 << 20;

/// Bytes of the shortest key with its value: the length of the name, one character, a type and a byte.
const LEAST_KEY_BYTES: u64 = 8 + 1 + 4 + 1;

/// Bytes of the shortest tensor description: the length of the name, a count, one size, a type and an offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

impl GgufHeader {
    /// Reads the header of a GGUF file that is in memory.
    ///
    /// # Errors
    /// Every way in which the bytes are not a GGUF file of version 2 or 3; see [`GgufError`].
    pub fn parse(file: &[u8]) -> Result<Self, GgufError> {
        Self::read(file, file.len() as u64)
    }

    /// Reads the header from the start of a file of `file_bytes` bytes, and nothing behind it.
    ///
    /// # Errors
    /// As [`GgufHeader::parse`], and when reading fails.
    pub fn read(reader: impl BufRead, file_bytes: u64) -> Result<Self, GgufError> {
        Self::read_wanted(reader, file_bytes, |_| true)
    }

    /// The same without the keys that are not wanted: their values are passed over unread.
    ///
    /// # Errors
    /// As [`GgufHeader::read`], but for what is wrong inside such a value.
    pub fn read_wanted(
        reader: impl BufRead,
        file_bytes: u64,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, GgufError> {
        let mut source = Source { reader, place: Place::Start, position: 0, file_bytes };
        let version = read_version(&mut source)?;
        let tensor_count = source.u64()?;
        let key_count = source.u64()?;
        let metadata = read_metadata(&mut source, key_count, is_wanted)?;
        let alignment = alignment(&metadata)?;
        let tensors = read_tensors(&mut source, tensor_count)?;
        // saturation leads to "outside the file" below
        let data_offset = source.position.checked_next_multiple_of(u64::from(alignment)).unwrap_or(u64::MAX);
        let header = Self { version, metadata, tensors, alignment, data_offset };
        header.check_places(file_bytes)?;
        Ok(header)
    }

    /// Checks that tensors are aligned, inside the file and apart from each other.
    fn check_places(&self, file_bytes: u64) -> Result<(), GgufError> {
        check_unique(self.tensors.iter().map(|tensor| tensor.name.as_str()))?;
        for tensor in &self.tensors {
            if !tensor.offset.is_multiple_of(u64::from(self.alignment)) {
                return Err(GgufError::Misaligned {
                    name: tensor.name.clone(),
                    offset: tensor.offset,
                    alignment: self.alignment,
                });
            }
            let start = self.data_offset.saturating_add(tensor.offset);
            if start.checked_add(tensor.bytes).is_none_or(|end| end > file_bytes) {
                return Err(GgufError::OutsideFile {
                    name: tensor.name.clone(),
                    start,
                    bytes: tensor.bytes,
                    file_bytes,
                });
            }
        }
        let mut by_offset: Vec<&TensorInfo> = self.tensors.iter().collect();
        by_offset.sort_by_key(|tensor| tensor.offset);
        for pair in by_offset.windows(2) {
            // cannot overflow: both ends were inside the file just above
            if pair[0].offset + pair[0].bytes > pair[1].offset {
                return Err(GgufError::Overlap { first: pair[0].name.clone(), second: pair[1].name.clone() });
            }
        }
        Ok(())
    }
}

fn read_version<R: BufRead>(source: &mut Source<R>) -> Result<u32, GgufError> {
    let magic = source.array()?;
    if magic != MAGIC {
        return Err(GgufError::NotGguf { found: magic });
    }
    match source.u32()? {
        version @ 2..=3 => Ok(version),
        1 => Err(GgufError::VersionOne),
        // small numbers have their low bytes empty when the bytes are swapped
        swapped if swapped != 0 && swapped.trailing_zeros() >= 16 => Err(GgufError::BigEndian),
        found => Err(GgufError::UnknownVersion { found }),
    }
}

fn read_metadata<R: BufRead>(
    source: &mut Source<R>,
    count: u64,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Metadata, GgufError> {
    source.check_count("metadata keys", count, LEAST_KEY_BYTES)?;
    let mut metadata = Metadata::new();
    for index in 0..count {
        source.place = Place::Key(index);
        let key = source.string()?;
        if key.is_empty() {
            return Err(GgufError::EmptyKey { index });
        }
        if metadata.get(&key).is_some() {
            return Err(GgufError::DuplicateKey { key });
        }
        source.place = Place::Value(key.clone());
        if !is_wanted(&key) {
            let value_type = read_value_type(source, &key)?;
            pass_over(source, &key, value_type, 0)?;
            continue;
        }
        let value = read_value(source, &key)?;
        metadata.set(key, value);
    }
    Ok(metadata)
}

fn read_value<R: BufRead>(source: &mut Source<R>, key: &str) -> Result<MetadataValue, GgufError> {
    Ok(match read_value_type(source, key)? {
        ValueType::U8 => MetadataValue::U8(u8::from_le_bytes(source.array()?)),
        ValueType::I8 => MetadataValue::I8(i8::from_le_bytes(source.array()?)),
        ValueType::U16 => MetadataValue::U16(u16::from_le_bytes(source.array()?)),
        ValueType::I16 => MetadataValue::I16(i16::from_le_bytes(source.array()?)),
        ValueType::U32 => MetadataValue::U32(source.u32()?),
        ValueType::I32 => MetadataValue::I32(i32::from_le_bytes(source.array()?)),
        ValueType::F32 => MetadataValue::F32(f32::from_le_bytes(source.array()?)),
        ValueType::Bool => MetadataValue::Bool(to_bool(u8::from_le_bytes(source.array()?), key)?),
        ValueType::String => MetadataValue::String(source.string()?),
        ValueType::Array => MetadataValue::Array(read_array(source, key, 1)?),
        ValueType::U64 => MetadataValue::U64(source.u64()?),
        ValueType::I64 => MetadataValue::I64(i64::from_le_bytes(source.array()?)),
        ValueType::F64 => MetadataValue::F64(f64::from_le_bytes(source.array()?)),
    })
}

fn read_value_type<R: BufRead>(source: &mut Source<R>, key: &str) -> Result<ValueType, GgufError> {
    let id = source.u32()?;
    ValueType::from_id(id).ok_or_else(|| GgufError::UnknownValueType { key: key.to_owned(), id })
}

/// Reads an array; `depth` counts the arrays around and including this one.
fn read_array<R: BufRead>(
    source: &mut Source<R>,
    key: &str,
    depth: usize,
) -> Result<MetadataArray, GgufError> {
    if depth > MAX_ARRAY_DEPTH {
        return Err(GgufError::NestedTooDeep { key: key.to_owned(), limit: MAX_ARRAY_DEPTH });
    }
    let element_type = read_value_type(source, key)?;
    let count = source.u64()?;
    source.check_count("array elements", count, element_type.least_bytes())?;
    Ok(match element_type {
        ValueType::U8 => MetadataArray::U8(source.bytes(count)?),
        ValueType::I8 => MetadataArray::I8(source.numbers(count, i8::from_le_bytes)?),
        ValueType::U16 => MetadataArray::U16(source.numbers(count, u16::from_le_bytes)?),
        ValueType::I16 => MetadataArray::I16(source.numbers(count, i16::from_le_bytes)?),
        ValueType::U32 => MetadataArray::U32(source.numbers(count, u32::from_le_bytes)?),
        ValueType::I32 => MetadataArray::I32(source.numbers(count, i32::from_le_bytes)?),
        ValueType::F32 => MetadataArray::F32(source.numbers(count, f32::from_le_bytes)?),
        ValueType::Bool => {
            let bytes = source.bytes(count)?;
            MetadataArray::Bool(bytes.into_iter().map(|byte| to_bool(byte, key)).collect::<Result<_, _>>()?)
        }
        ValueType::String => {
            let mut strings = Vec::new();
            for _ in 0..count {
                strings.push(source.string()?);
            }
            MetadataArray::String(strings)
        }
        ValueType::Array => {
            let mut arrays = Vec::new();
            for _ in 0..count {
                arrays.push(read_array(source, key, depth + 1)?);
            }
            MetadataArray::Array(arrays)
        }
        ValueType::U64 => MetadataArray::U64(source.numbers(count, u64::from_le_bytes)?),
        ValueType::I64 => MetadataArray::I64(source.numbers(count, i64::from_le_bytes)?),
        ValueType::F64 => MetadataArray::F64(source.numbers(count, f64::from_le_bytes)?),
    })
}

/// Goes behind a value; `depth` counts the arrays around it.
fn pass_over<R: BufRead>(
    source: &mut Source<R>,
    key: &str,
    value_type: ValueType,
    depth: usize,
) -> Result<(), GgufError> {
    match value_type {
        ValueType::String => {
            let length = source.u64()?;
            source.pass(length)
        }
        ValueType::Array if depth == MAX_ARRAY_DEPTH => {
            Err(GgufError::NestedTooDeep { key: key.to_owned(), limit: MAX_ARRAY_DEPTH })
        }
        ValueType::Array => {
            let element_type = read_value_type(source, key)?;
            let count = source.u64()?;
            source.check_count("array elements", count, element_type.least_bytes())?;
            match element_type {
                ValueType::String | ValueType::Array => {
                    (0..count).try_for_each(|_| pass_over(source, key, element_type, depth + 1))
                }
                // cannot overflow: the count was compared with what is left
                number => source.pass(count * number.least_bytes()),
            }
        }
        number => source.pass(number.least_bytes()),
    }
}

fn to_bool(byte: u8, key: &str) -> Result<bool, GgufError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(GgufError::NotBool { key: key.to_owned(), found }),
    }
}

fn read_tensors<R: BufRead>(source: &mut Source<R>, count: u64) -> Result<Vec<TensorInfo>, GgufError> {
    source.check_count("tensors", count, LEAST_TENSOR_BYTES)?;
    let mut tensors = Vec::new();
    for index in 0..count {
        source.place = Place::TensorName(index);
        let name = source.string()?;
        source.place = Place::Tensor(name.clone());
        tensors.push(read_tensor(source, name)?);
    }
    Ok(tensors)
}

fn read_tensor<R: BufRead>(source: &mut Source<R>, name: String) -> Result<TensorInfo, GgufError> {
    let dimension_count = source.u32()?;
    if dimension_count as usize > MAX_DIMENSIONS {
        return Err(GgufError::DimensionCount { name, found: dimension_count.into() });
    }
    let mut dimensions = Vec::with_capacity(dimension_count as usize);
    for _ in 0..dimension_count {
        dimensions.push(source.u64()?);
    }
    let id = source.u32()?;
    let Some(tensor_type) = TensorType::from_ggml_id(id) else {
        return Err(GgufError::UnknownTensorType { name, id });
    };
    let bytes = tensor_bytes(&name, &dimensions, tensor_type)?;
    let offset = source.u64()?;
    Ok(TensorInfo { name, dimensions, tensor_type, offset, bytes })
}

/// A file that is read from front to back, with its length known.
struct Source<R> {
    reader: R,
    place: Place,
    position: u64,
    file_bytes: u64,
}

impl<R: BufRead> Source<R> {
    fn remaining(&self) -> u64 {
        self.file_bytes - self.position
    }

    /// Checks that `count` items of at least `least_bytes` each can still come.
    fn check_count(&self, items: &'static str, count: u64, least_bytes: u64) -> Result<(), GgufError> {
        if count > self.remaining() / least_bytes {
            return Err(GgufError::CountTooLarge { items, count, remaining: self.remaining() });
        }
        Ok(())
    }

    /// Moves on by `needed` bytes, if there are so many.
    fn advance(&mut self, needed: u64) -> Result<(), GgufError> {
        if needed > self.remaining() {
            return Err(GgufError::TooShort {
                place: self.place.clone(),
                offset: self.position,
                needed,
                remaining: self.remaining(),
            });
        }
        self.position += needed;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes `count` bytes on.
    fn pass(&mut self, count: u64) -> Result<(), GgufError> {
        self.advance(count)?;
        let mut left = count;
        while left > 0 {
            let buffered = self.reader.fill_buf()?.len() as u64;
            if buffered == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            let passed = left.min(buffered);
            self.reader.consume(passed as usize);
            left -= passed;
        }
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, GgufError> {
        self.advance(count)?;
        let mut bytes = Vec::new();
        let mut left = count;
        // a sparse file may be long without being there, so that not even its length is a reason to allocate
        while left > 0 {
            let chunk = left.min(CHUNK_BYTES);
            let start = bytes.len();
            bytes.resize(start + chunk as usize, 0);
            self.reader.read_exact(&mut bytes[start..])?;
            left -= chunk;
        }
        Ok(bytes)
    }

    /// `count` numbers of `N` bytes each; [`Self::check_count`] has bounded `count`, so that the product cannot overflow.
    fn numbers<const N: usize, T>(
        &mut self,
        count: u64,
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, GgufError> {
        let bytes = self.bytes(count * N as u64)?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| from_le_bytes(chunk)).collect())
    }

    fn string(&mut self) -> Result<String, GgufError> {
        let length = self.u64()?;
        let offset = self.position;
        String::from_utf8(self.bytes(length)?)
            .map_err(|_| GgufError::NotUtf8 { place: self.place.clone(), offset })
    }
}
