//! Our quantizers against ggml's; `tests/golden/make_codecs.py` made the file.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use secateur_model::{TensorType, dequantize_row};
use secateur_quantize::{quantize_rows, quantize_tensor};

/// What ggml made of the golden's numbers.
struct Record<'a> {
    tensor_type: TensorType,
    by_importance: bool,
    stored: &'a [u8],
}

struct Golden<'a> {
    row_len: usize,
    /// Rows as they are in models, then rows that are hard to store.
    values: Vec<f32>,
    /// Numbers in the rows as they are in models.
    ordinary: usize,
    /// One weight per column.
    importance: Vec<f32>,
    records: Vec<Record<'a>>,
}

fn golden() -> Golden<'static> {
    let mut file = include_bytes!("golden/quantize.bin").as_slice();
    let [row_len, ordinary, hostile] = std::array::from_fn(|_| number(&mut file) as usize);
    let values = numbers(&mut file, (ordinary + hostile) * row_len);
    let importance = numbers(&mut file, row_len);
    let mut records = Vec::new();
    while !file.is_empty() {
        let tensor_type = TensorType::from_ggml_id(number(&mut file)).unwrap();
        let by_importance = number(&mut file) == 1;
        let size = number(&mut file) as usize;
        records.push(Record { tensor_type, by_importance, stored: file.split_off(..size).unwrap() });
    }
    Golden { row_len, values, ordinary: ordinary * row_len, importance, records }
}

fn number(file: &mut &[u8]) -> u32 {
    u32::from_le_bytes(file.split_off(..4).unwrap().try_into().unwrap())
}

fn numbers(file: &mut &[u8], count: usize) -> Vec<f32> {
    let bytes = file.split_off(..4 * count).unwrap();
    bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
}

#[test]
fn floats_and_legacy_types_are_stored_byte_for_byte_as_by_ggml() {
    let golden = golden();
    let all_rows =
        |record: &&Record| record.tensor_type.row_bytes(golden.values.len()) == Some(record.stored.len());
    let records: Vec<_> = golden.records.iter().filter(all_rows).collect();
    assert_eq!(records.len(), 9);
    for record in records {
        let ours = quantize_tensor(record.tensor_type, &golden.values, golden.row_len, None).unwrap();
        let row_bytes = record.tensor_type.row_bytes(32).unwrap();
        for (block, (ours, theirs)) in ours.chunks(row_bytes).zip(record.stored.chunks(row_bytes)).enumerate()
        {
            assert_eq!(ours, theirs, "{}: {:?}", record.tensor_type, &golden.values[32 * block..][..32]);
        }
    }
}

#[test]
fn searched_types_are_no_farther_from_the_numbers_than_with_ggml() {
    let golden = golden();
    let values = &golden.values[..golden.ordinary];
    let mut compared = 0;
    for record in &golden.records {
        if record.tensor_type.row_bytes(values.len()) != Some(record.stored.len()) {
            continue;
        }
        let importance = record.by_importance.then_some(golden.importance.as_slice());
        let ours = quantize_tensor(record.tensor_type, values, golden.row_len, importance).unwrap();
        for row in 0..values.len() / golden.row_len {
            let row_bytes = record.tensor_type.row_bytes(golden.row_len).unwrap();
            let error = |stored: &[u8]| {
                let row_values = &values[row * golden.row_len..][..golden.row_len];
                squared_error(
                    record.tensor_type,
                    &stored[row * row_bytes..][..row_bytes],
                    row_values,
                    importance,
                )
            };
            let (ours, theirs) = (error(&ours), error(record.stored));
            let kind = if record.by_importance { "by importance" } else { "plain" };
            assert!(ours <= theirs, "{} {kind}, row {row}: {ours} instead of {theirs}", record.tensor_type);
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * (8 + 12), "rows, types without and with importance");
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let golden = golden();
    let values: Vec<f32> = golden.values.iter().copied().cycle().take(1 << 18).collect();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for tensor_type in TensorType::all() {
        let quantize =
            || quantize_tensor(tensor_type, &values, golden.row_len, Some(&golden.importance)).unwrap();
        let three = pool(3).install(quantize);
        assert!(pool(1).install(quantize) == three, "{tensor_type}");
        let mut rows = vec![0; three.len()];
        quantize_rows(tensor_type, &values, golden.row_len, Some(&golden.importance), &mut rows).unwrap();
        assert!(rows == three, "{tensor_type}");
    }
}

#[test]
fn any_finite_numbers_are_stored_as_finite_numbers_of_their_size() {
    let golden = golden();
    for tensor_type in TensorType::all().filter(|tensor_type| !tensor_type.is_float()) {
        for scale in [0.0, 1e-38, 1e-20, 1e-9, 1e-6, 1e-3, 1.0, 1e3] {
            let values: Vec<f32> =
                golden.values[..golden.ordinary].iter().map(|value| value * scale).collect();
            for importance in [None, Some(golden.importance.as_slice())] {
                let stored = quantize_tensor(tensor_type, &values, golden.row_len, importance).unwrap();
                let zeros = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
                let error = squared_error(tensor_type, &stored, &values, None);
                assert!(error <= zeros, "{tensor_type}, numbers near {scale}: {error} of {zeros}");
            }
        }
    }
}

fn squared_error(tensor_type: TensorType, stored: &[u8], values: &[f32], importance: Option<&[f32]>) -> f64 {
    let mut back = vec![0.0; values.len()];
    dequantize_row(tensor_type, stored, &mut back).unwrap();
    let differences = back.iter().zip(values).map(|(&back, &value)| f64::from(back) - f64::from(value));
    differences
        .enumerate()
        .map(|(index, difference)| {
            let weight = importance.map_or(1.0, |importance| f64::from(importance[index % importance.len()]));
            weight * difference * difference
        })
        .sum()
}
