//! Our codecs against ggml's, bit by bit.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use secateur_model::{TensorType, dequantize_row};
use secateur_quantize::quantize_tensor;
use secateur_tests::ggml::{Ggml, default_library};
use secateur_tests::random::Random;

const LEGACY: [TensorType; 9] = [
    TensorType::F32,
    TensorType::F16,
    TensorType::BF16,
    TensorType::Q8_0,
    TensorType::Q5_1,
    TensorType::Q5_0,
    TensorType::Q4_1,
    TensorType::Q4_0,
    TensorType::MXFP4,
];

fn ggml() -> Ggml {
    let path = default_library();
    Ggml::load(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run ./test, which fetches it", path.display()))
}

#[test]
fn the_type_table_is_that_of_ggml() {
    let ggml = ggml();
    for tensor_type in TensorType::all() {
        assert_eq!(ggml.name(tensor_type).to_lowercase(), tensor_type.name());
        assert_eq!(
            ggml.block(tensor_type),
            (tensor_type.block_len(), tensor_type.block_bytes()),
            "{tensor_type}"
        );
    }
}

#[test]
fn any_bytes_mean_the_same_numbers() {
    let ggml = ggml();
    let mut random = Random::new(1);
    for tensor_type in TensorType::all() {
        let blocks = 1 << 20 >> tensor_type.block_len().ilog2();
        let bytes: Vec<u8> = (0..blocks * tensor_type.block_bytes()).map(|_| random.bits() as u8).collect();
        let theirs = ggml.dequantize(tensor_type, &bytes);
        let mut ours = vec![0.0; theirs.len()];
        dequantize_row(tensor_type, &bytes, &mut ours).unwrap();
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let same = ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan();
            assert!(same, "{tensor_type}, number {index}: {ours} instead of {theirs}");
        }
    }
}

#[test]
fn all_numbers_of_16_bits_mean_the_same() {
    let ggml = ggml();
    let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for tensor_type in [TensorType::F16, TensorType::BF16] {
        let theirs = ggml.dequantize(tensor_type, &bytes);
        let mut ours = vec![0.0; theirs.len()];
        dequantize_row(tensor_type, &bytes, &mut ours).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&ours) == bits(&theirs), "{tensor_type}");
    }
}

#[test]
fn legacy_types_store_any_finite_numbers_as_ggml_does() {
    let ggml = ggml();
    let values = hostile_rows();
    for tensor_type in LEGACY {
        let ours = quantize_tensor(tensor_type, &values, 32, None).unwrap();
        let theirs = ggml.quantize(tensor_type, &values, 32, None);
        let row_bytes = tensor_type.row_bytes(32).unwrap();
        for (row, (ours, theirs)) in ours.chunks(row_bytes).zip(theirs.chunks(row_bytes)).enumerate() {
            assert_eq!(ours, theirs, "{tensor_type}, row {row}: {:?}", &values[32 * row..][..32]);
        }
    }
}

/// Rows of 32 with every magnitude, ties, zeros of both signs and numbers near the ends of the range.
fn hostile_rows() -> Vec<f32> {
    let mut random = Random::new(2);
    let mut values = Vec::new();
    for row in 0..40_000_u32 {
        let scale = 2_f32.powi(random.bits() as i32 % 128);
        for _ in 0..32 {
            values.push(match row % 10 {
                0 | 1 => random.gaussian() * scale,
                2 => any_finite(&mut random),
                3 => f32::from_bits(random.bits() as u32 & 0x80ff_ffff),
                4 => f32::from_bits(random.bits() as u32 & 0x8000_001f),
                5 => (random.bits() % 33) as f32 - 16.0,
                6 => ((random.bits() % 513) as f32 - 256.0) / 16.0,
                7 => [0.0, -0.0, 1.0, -1.0][random.bits() as usize % (2 + row as usize / 10 % 3)],
                8 => random.gaussian().abs() * scale,
                _ => random.heavy_tailed() * 0.02,
            });
        }
    }
    values.iter().map(|value| value.clamp(f32::MIN, f32::MAX)).collect()
}

fn any_finite(random: &mut Random) -> f32 {
    loop {
        let value = f32::from_bits(random.bits() as u32);
        if value.is_finite() {
            return value;
        }
    }
}
