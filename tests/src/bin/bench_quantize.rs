//! Our quantizers beside ggml's, on one thread: `bench-quantize [--library PATH/libggml-base.so] [--megabytes 16]`.
//!
//! Prints a table of medians over alternating runs, on gaussian numbers in rows of 1536, without and with importance.
#![allow(clippy::print_stdout)] // the table is the result
#![allow(clippy::expect_used)] // a benchmark that cannot run has nothing to report but why

use std::path::PathBuf;

use clap::Parser;
use cpu_time::ThreadTime;
use secateur_model::{TensorType, dequantize_row};
use secateur_quantize::quantize_rows;
use secateur_tests::ggml::{Ggml, default_library};
use secateur_tests::random::Random;

const ROW_LEN: usize = 1536;

#[derive(Parser)]
struct Arguments {
    /// ggml's base library [default: the one that ./test fetched]
    #[arg(long)]
    library: Option<PathBuf>,
    /// Size of the input
    #[arg(long, default_value_t = 16)]
    megabytes: usize,
    /// Runs of each side
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only these types
    types: Vec<String>,
}

/// One side of a comparison.
struct Outcome {
    /// Of `f32` input, median.
    megabytes_per_second: f64,
    /// Sum of squared differences over sum of squares, weighted by importance where it is given.
    error: f64,
    bytes: Vec<u8>,
}

fn main() {
    let arguments = Arguments::parse();
    let library = arguments.library.unwrap_or_else(default_library);
    let ggml =
        Ggml::load(&library).expect("the library of ggml is missing: ./test fetches it, or pass --library");
    let mut random = Random::new(7);
    let rows = (arguments.megabytes << 20) / 4 / ROW_LEN;
    let values: Vec<f32> = (0..rows * ROW_LEN).map(|_| random.gaussian()).collect();
    let importance: Vec<f32> = (0..ROW_LEN).map(|_| random.gaussian().powi(2)).collect();
    for importance in [None, Some(importance.as_slice())] {
        println!(
            "\n| type{} | ours MB/s | ggml MB/s | ratio | our error | ggml's error | error ratio | same bytes |",
            if importance.is_some() { ", with importance" } else { "" }
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---|");
        for tensor_type in TensorType::all() {
            if !arguments.types.is_empty() && !arguments.types.iter().any(|name| name == tensor_type.name()) {
                continue;
            }
            let (ours, theirs) = compare(&ggml, tensor_type, &values, importance, arguments.runs);
            println!(
                "| {tensor_type} | {:.0} | {:.0} | {:.2} | {:.6e} | {:.6e} | {:.4} | {} |",
                ours.megabytes_per_second,
                theirs.megabytes_per_second,
                ours.megabytes_per_second / theirs.megabytes_per_second,
                ours.error,
                theirs.error,
                ours.error / theirs.error,
                if ours.bytes == theirs.bytes { "yes" } else { "no" },
            );
        }
    }
}

fn compare(
    ggml: &Ggml,
    tensor_type: TensorType,
    values: &[f32],
    importance: Option<&[f32]>,
    runs: usize,
) -> (Outcome, Outcome) {
    let row_bytes = tensor_type.row_bytes(ROW_LEN).expect("1536 is a multiple of every block");
    let mut ours = vec![0; values.len() / ROW_LEN * row_bytes];
    let mut theirs = ours.clone();
    let mut our_seconds = Vec::new();
    let mut their_seconds = Vec::new();
    for _ in 0..runs {
        our_seconds.push(seconds_of(|| {
            quantize_rows(tensor_type, values, ROW_LEN, importance, &mut ours)
                .expect("the numbers are finite");
        }));
        their_seconds
            .push(seconds_of(|| ggml.quantize_into(tensor_type, values, ROW_LEN, importance, &mut theirs)));
    }
    let outcome = |mut seconds: Vec<f64>, bytes: Vec<u8>| {
        seconds.sort_by(f64::total_cmp);
        let megabytes = values.len() as f64 * 4.0 / 1e6;
        Outcome {
            megabytes_per_second: megabytes / seconds[seconds.len() / 2],
            error: relative_error(tensor_type, values, importance, &bytes),
            bytes,
        }
    };
    (outcome(our_seconds, ours), outcome(their_seconds, theirs))
}

/// Processor time of this thread, so that other work on the machine does not count.
fn seconds_of(work: impl FnOnce()) -> f64 {
    let start = ThreadTime::now();
    work();
    start.elapsed().as_secs_f64()
}

fn relative_error(tensor_type: TensorType, values: &[f32], importance: Option<&[f32]>, bytes: &[u8]) -> f64 {
    let mut stored = vec![0.0; values.len()];
    dequantize_row(tensor_type, bytes, &mut stored).expect("the bytes are whole rows");
    let mut error = 0.0;
    let mut total = 0.0;
    for (index, (&stored, &value)) in stored.iter().zip(values).enumerate() {
        let weight = importance.map_or(1.0, |importance| f64::from(importance[index % ROW_LEN]));
        error += weight * (f64::from(stored) - f64::from(value)).powi(2);
        total += weight * f64::from(value).powi(2);
    }
    error / total
}
