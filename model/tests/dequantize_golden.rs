//! Stored tensors against what ggml reads from them; `tests/golden/make_codecs.py` made the file.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use secateur_model::{TensorType, dequantize_row};

#[test]
fn every_type_is_read_bit_for_bit_as_by_ggml() {
    let mut golden = include_bytes!("golden/dequantize.bin").as_slice();
    let mut seen = Vec::new();
    while !golden.is_empty() {
        let tensor_type = TensorType::from_ggml_id(number(&mut golden)).unwrap();
        let size = number(&mut golden) as usize;
        let stored = golden.split_off(..size).unwrap();
        let length = size / tensor_type.block_bytes() * tensor_type.block_len();
        let theirs = golden.split_off(..4 * length).unwrap();

        let mut ours = vec![0.0; length];
        dequantize_row(tensor_type, stored, &mut ours).unwrap();
        for (index, (ours, theirs)) in ours.iter().zip(theirs.as_chunks().0).enumerate() {
            let theirs = f32::from_le_bytes(*theirs);
            assert!(
                ours.to_bits() == theirs.to_bits(),
                "{tensor_type}, number {index}: {ours} instead of {theirs}"
            );
        }
        seen.push(tensor_type);
    }
    assert_eq!(seen, TensorType::all().collect::<Vec<_>>());
}

fn number(golden: &mut &[u8]) -> u32 {
    u32::from_le_bytes(golden.split_off(..4).unwrap().try_into().unwrap())
}
