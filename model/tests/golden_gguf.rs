//! Files that the ggml project's Python package has written, see `tests/golden/make_gguf.py`.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::path::{Path, PathBuf};

use secateur_model::TensorType;
use secateur_model::gguf::{Gguf, GgufHeader, GgufLayout, MetadataArray, MetadataValue};
use secateur_model::stored::{NewTensor, StoredTensor};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/gguf").join(name)
}

/// The keys that the script sets, in its order.
fn expected_values() -> Vec<(&'static str, MetadataValue)> {
    let nested = vec![MetadataArray::I32(vec![1, 2]), MetadataArray::I32(vec![3])];
    vec![
        ("general.architecture", "llama".into()),
        ("scalar.uint8", 255_u8.into()),
        ("array.uint8", vec![0, 255_u8, 1].into()),
        ("scalar.int8", i8::MIN.into()),
        ("array.int8", vec![0, i8::MIN, 1].into()),
        ("scalar.uint16", u16::MAX.into()),
        ("array.uint16", vec![0, u16::MAX, 1].into()),
        ("scalar.int16", i16::MIN.into()),
        ("array.int16", vec![0, i16::MIN, 1].into()),
        ("scalar.uint32", u32::MAX.into()),
        ("array.uint32", vec![0, u32::MAX, 1].into()),
        ("scalar.int32", i32::MIN.into()),
        ("array.int32", vec![0, i32::MIN, 1].into()),
        ("scalar.float32", 0.1_f32.into()),
        ("array.float32", vec![0.0, 0.1_f32, 1.0].into()),
        ("scalar.bool", true.into()),
        ("array.bool", vec![false, true, true].into()),
        ("scalar.string", "▁é\0 ".into()),
        ("array.string", ["", "▁é\0 ", "b"].map(str::to_owned).to_vec().into()),
        ("scalar.uint64", u64::MAX.into()),
        ("array.uint64", vec![0, u64::MAX, 1].into()),
        ("scalar.int64", i64::MIN.into()),
        ("array.int64", vec![0, i64::MIN, 1].into()),
        ("scalar.float64", 0.1_f64.into()),
        ("array.float64", vec![0.0, 0.1_f64, 1.0].into()),
        ("array.array", nested.into()),
    ]
}

/// Name, shape and type of the tensors that the script adds, in its order.
fn expected_tensors() -> Vec<(&'static str, Vec<usize>, TensorType)> {
    vec![
        ("plain.f32", vec![2, 3], TensorType::F32),
        ("plain.f16", vec![7], TensorType::F16),
        ("cube.f32", vec![2, 3, 4], TensorType::F32),
        ("blocks.bf16", vec![3, 32], TensorType::BF16),
        ("blocks.q8_0", vec![3, 32], TensorType::Q8_0),
        ("blocks.q4_0", vec![3, 32], TensorType::Q4_0),
        ("blocks.q4_1", vec![3, 32], TensorType::Q4_1),
        ("blocks.q5_0", vec![3, 32], TensorType::Q5_0),
        ("blocks.q5_1", vec![3, 32], TensorType::Q5_1),
    ]
}

fn check_content(model: &Gguf) {
    let values: Vec<_> = model.metadata.iter().map(|(key, value)| (key, value.clone())).collect();
    assert_eq!(values, expected_values());
    let tensors: Vec<_> = model
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.shape.clone(), tensor.tensor_type))
        .collect();
    assert_eq!(tensors, expected_tensors());
    let f32_bytes = |count: usize| -> Vec<u8> {
        (0..count).flat_map(|index| ((index as f32 - 48.0) / 8.0).to_le_bytes()).collect()
    };
    assert_eq!(*model.files.map(&model.tensors[0]).unwrap(), f32_bytes(6));
    assert_eq!(*model.files.map(&model.tensors[2]).unwrap(), f32_bytes(24));
    // bf16 is the upper half of f32, and these numbers need no rounding
    let upper_halves: Vec<u8> = f32_bytes(96).chunks(4).flat_map(|number| [number[2], number[3]]).collect();
    assert_eq!(*model.files.map(&model.tensors[3]).unwrap(), upper_halves);
}

/// The file that our writer makes of a model.
fn rewrite(model: &Gguf) -> Vec<u8> {
    let to_new = |tensor: &StoredTensor| NewTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        tensor_type: tensor.tensor_type,
    };
    let tensors: Vec<NewTensor> = model.tensors.iter().map(to_new).collect();
    let layout = GgufLayout::new(&model.metadata, &tensors).unwrap();
    let mut writer = layout.start(Vec::new()).unwrap();
    for tensor in &model.tensors {
        writer.begin(&tensor.name).unwrap();
        writer.write_all(&model.files.map(tensor).unwrap()).unwrap();
    }
    let file = writer.finish().unwrap();
    assert_eq!(file.len() as u64, layout.file_bytes());
    file
}

#[test]
fn version_three_is_read_and_written_byte_for_byte() {
    let model = Gguf::open(&golden("version3.gguf")).unwrap();
    assert_eq!(model.version, 3);
    check_content(&model);
    assert_eq!(rewrite(&model), std::fs::read(golden("version3.gguf")).unwrap());
}

#[test]
fn version_two_is_read_and_becomes_version_three() {
    let model = Gguf::open(&golden("version2.gguf")).unwrap();
    assert_eq!(model.version, 2);
    check_content(&model);
    assert_eq!(rewrite(&model), std::fs::read(golden("version3.gguf")).unwrap());
}

#[test]
fn another_alignment_is_read_and_written_byte_for_byte() {
    let bytes = std::fs::read(golden("aligned64.gguf")).unwrap();
    let header = GgufHeader::parse(&bytes).unwrap();
    assert_eq!((header.alignment, header.data_offset % 64), (64, 0));
    assert!(header.tensors.iter().all(|tensor| tensor.offset.is_multiple_of(64)));
    assert_eq!(rewrite(&Gguf::open(&golden("aligned64.gguf")).unwrap()), bytes);
}

#[test]
fn what_is_not_wanted_is_passed_over() {
    for name in ["version3.gguf", "split-00002-of-00003.gguf"] {
        let model =
            Gguf::open_wanted(&golden(name), |key| key == "scalar.string" || key.starts_with("split."))
                .unwrap();
        let values: Vec<_> = model.metadata.iter().collect();
        assert_eq!(values, [("scalar.string", &MetadataValue::from("▁é\0 "))]);
        let whole = Gguf::open(&golden(name)).unwrap();
        assert_eq!(model.tensors, whole.tensors);
    }
    let bytes = std::fs::read(golden("version3.gguf")).unwrap();
    let header = GgufHeader::read_wanted(&bytes[..], bytes.len() as u64, |_| false).unwrap();
    for length in 0..header.data_offset as usize {
        let part = &bytes[..length];
        assert!(GgufHeader::read_wanted(part, length as u64, |_| false).is_err(), "{length}");
        // a file that became shorter while it was read
        assert!(
            GgufHeader::read_wanted(part, bytes.len() as u64, |_| false).is_err()
                || length + 32 > header.data_offset as usize
        );
    }
}

#[test]
fn any_part_of_a_split_model_opens_the_model() {
    for part in 1..=3 {
        let model = Gguf::open(&golden(&format!("split-0000{part}-of-00003.gguf"))).unwrap();
        check_content(&model);
        assert_eq!(rewrite(&model), std::fs::read(golden("version3.gguf")).unwrap());
    }
}
