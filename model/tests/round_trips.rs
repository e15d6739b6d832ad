//! Whatever is written comes back, for any metadata and any tensors.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use secateur_model::TensorType;
use secateur_model::gguf::{ALIGNMENT_KEY, GgufHeader, GgufLayout, Metadata, MetadataArray, MetadataValue};
use secateur_model::hf::{SafetensorsLayout, read_header};
use secateur_model::stored::NewTensor;
use secateur_model::tensor_writer::TensorWriter;

fn any_array() -> impl Strategy<Value = MetadataArray> {
    let flat = prop_oneof![
        vec(any::<u8>(), 0..9).prop_map(MetadataArray::U8),
        vec(any::<i8>(), 0..9).prop_map(MetadataArray::I8),
        vec(any::<u16>(), 0..9).prop_map(MetadataArray::U16),
        vec(any::<i16>(), 0..9).prop_map(MetadataArray::I16),
        vec(any::<u32>(), 0..9).prop_map(MetadataArray::U32),
        vec(any::<i32>(), 0..9).prop_map(MetadataArray::I32),
        vec(any::<f32>(), 0..9).prop_map(MetadataArray::F32),
        vec(any::<bool>(), 0..9).prop_map(MetadataArray::Bool),
        vec(any::<String>(), 0..9).prop_map(MetadataArray::String),
        vec(any::<u64>(), 0..9).prop_map(MetadataArray::U64),
        vec(any::<i64>(), 0..9).prop_map(MetadataArray::I64),
        vec(any::<f64>(), 0..9).prop_map(MetadataArray::F64),
    ];
    flat.prop_recursive(3, 16, 3, |inner| vec(inner, 0..3).prop_map(MetadataArray::Array))
}

fn any_value() -> impl Strategy<Value = MetadataValue> {
    prop_oneof![
        any::<u8>().prop_map(MetadataValue::U8),
        any::<i8>().prop_map(MetadataValue::I8),
        any::<u16>().prop_map(MetadataValue::U16),
        any::<i16>().prop_map(MetadataValue::I16),
        any::<u32>().prop_map(MetadataValue::U32),
        any::<i32>().prop_map(MetadataValue::I32),
        any::<f32>().prop_map(MetadataValue::F32),
        any::<bool>().prop_map(MetadataValue::Bool),
        any::<String>().prop_map(MetadataValue::String),
        any_array().prop_map(MetadataValue::Array),
        any::<u64>().prop_map(MetadataValue::U64),
        any::<i64>().prop_map(MetadataValue::I64),
        any::<f64>().prop_map(MetadataValue::F64),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let keys = btree_map("[a-z.]{1,12}", any_value(), 0..8);
    let alignment = proptest::option::of(prop_oneof![Just(1_u32), Just(8), Just(32), Just(4096)]);
    (keys, alignment).prop_map(|(keys, alignment)| {
        let mut metadata = Metadata::new();
        // from the last to the first, so that sorting would show
        for (key, value) in keys.into_iter().rev() {
            metadata.set(key, value);
        }
        if let Some(alignment) = alignment {
            metadata.set(ALIGNMENT_KEY, alignment);
        }
        metadata
    })
}

/// Tensors with shapes of `rank` sizes whose rows fit their type.
fn any_tensors(
    types: impl Fn(TensorType) -> bool,
    rank: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<NewTensor>> {
    let types: Vec<TensorType> = TensorType::all().filter(|&tensor_type| types(tensor_type)).collect();
    let one = (proptest::sample::select(types), vec(1_usize..4, rank));
    btree_map("\\PC{1,12}", one, 0..8).prop_map(|tensors| {
        let to_new = |(name, (tensor_type, mut shape)): (String, (TensorType, Vec<usize>))| {
            if let Some(row) = shape.last_mut() {
                *row *= tensor_type.block_len();
            }
            NewTensor { name, shape, tensor_type }
        };
        tensors.into_iter().rev().map(to_new).collect()
    })
}

fn elements(tensor: &NewTensor) -> usize {
    tensor.shape.iter().product()
}

/// Bytes that differ from tensor to tensor.
fn content(tensor: &NewTensor) -> Vec<u8> {
    let bytes = elements(tensor) / tensor.tensor_type.block_len() * tensor.tensor_type.block_bytes();
    let seed = tensor.name.bytes().fold(7_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte));
    (0..bytes).map(|index| seed.wrapping_add(index as u8)).collect()
}

fn write_contents<'a>(
    mut writer: TensorWriter<Vec<u8>>,
    tensors: impl IntoIterator<Item = &'a NewTensor>,
) -> Vec<u8> {
    for tensor in tensors {
        writer.begin(&tensor.name).unwrap();
        for piece in content(tensor).chunks(7) {
            writer.write_all(piece).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn write_gguf(metadata: &Metadata, tensors: &[NewTensor]) -> Vec<u8> {
    let layout = GgufLayout::new(metadata, tensors).unwrap();
    let file = write_contents(layout.start(Vec::new()).unwrap(), tensors);
    assert_eq!(file.len() as u64, layout.file_bytes());
    file
}

proptest! {
    #[test]
    fn gguf(metadata in any_metadata(), tensors in any_tensors(|_| true, 1..5)) {
        let file = write_gguf(&metadata, &tensors);
        let header = GgufHeader::parse(&file).unwrap();
        // as text, because a NaN is not equal to itself; the bytes below tell one NaN from another
        prop_assert_eq!(format!("{:?}", header.metadata), format!("{metadata:?}"));
        prop_assert_eq!(write_gguf(&header.metadata, &tensors), file.clone());
        prop_assert_eq!(header.tensors.len(), tensors.len());
        for (read, written) in header.tensors.iter().zip(&tensors) {
            prop_assert_eq!(&read.name, &written.name);
            prop_assert_eq!(&read.shape(), &written.shape);
            prop_assert_eq!(read.tensor_type, written.tensor_type);
            let start = (header.data_offset + read.offset) as usize;
            prop_assert_eq!(start % header.alignment as usize, 0);
            prop_assert_eq!(&file[start..start + read.bytes as usize], &content(written)[..]);
        }
    }

    #[test]
    fn safetensors(tensors in any_tensors(TensorType::is_float, 0..6)) {
        let layout = SafetensorsLayout::new(&tensors).unwrap();
        let file = write_contents(layout.start(Vec::new()).unwrap(), layout.tensors());
        prop_assert_eq!(file.len() as u64, layout.file_bytes());
        let stored = read_header(&file[..], file.len() as u64, 3).unwrap();
        prop_assert_eq!(stored.len(), tensors.len());
        for tensor in &stored {
            let written = tensors.iter().find(|written| written.name == tensor.name).unwrap();
            prop_assert_eq!((&tensor.shape, tensor.tensor_type), (&written.shape, written.tensor_type));
            prop_assert_eq!(tensor.file, 3);
            let start = tensor.offset as usize;
            prop_assert_eq!(start % tensor.tensor_type.block_bytes(), 0);
            prop_assert_eq!(&file[start..start + tensor.bytes as usize], &content(written)[..]);
        }
        // the reference implementation agrees
        let reference = safetensors::SafeTensors::deserialize(&file).unwrap();
        for written in &tensors {
            let view = reference.tensor(&written.name).unwrap();
            prop_assert_eq!(view.shape(), &written.shape[..]);
            prop_assert_eq!(view.data(), &content(written)[..]);
        }
    }
}
