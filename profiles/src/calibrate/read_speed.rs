//! How fast threads read memory together.

use std::hint::black_box;
use std::time::Instant;

/// What so many threads read.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReadSpeed {
    /// Threads.
    pub threads: usize,
    /// All of them together.
    pub gigabytes_per_second: f64,
}

/// Larger than any cache of a processor that people run models on.
const BYTES: usize = 256 << 20;
/// The fastest counts: whatever else runs makes a pass slower, never faster.
const PASSES: usize = 7;

/// Reads a buffer with 1, 2, 4 … and all threads.
pub fn read_speeds(most_threads: usize) -> Vec<ReadSpeed> {
    // pages that were never written would all be the same one
    let buffer: Vec<u64> = (0..BYTES as u64 / 8).collect();
    let mut counts: Vec<usize> = (0..usize::BITS - 1)
        .map(|exponent| 1 << exponent)
        .take_while(|threads| *threads < most_threads)
        .collect();
    counts.push(most_threads);
    counts.into_iter().map(|threads| read_speed(&buffer, threads)).collect()
}

fn read_speed(buffer: &[u64], threads: usize) -> ReadSpeed {
    let seconds = (0..PASSES).map(|_| pass(buffer, threads)).fold(f64::INFINITY, f64::min);
    ReadSpeed { threads, gigabytes_per_second: size_of_val(buffer) as f64 / seconds / 1e9 }
}

/// Seconds of one pass, each thread over its own part.
fn pass(buffer: &[u64], threads: usize) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in buffer.chunks(buffer.len().div_ceil(threads)) {
            scope.spawn(move || black_box(sum(part)));
        }
    });
    start.elapsed().as_secs_f64()
}

/// Eight sums side by side, so that no addition waits for the one before.
fn sum(part: &[u64]) -> u64 {
    let mut sums = [0_u64; 8];
    for eight in part.chunks_exact(8) {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read() {
        let numbers: Vec<u64> = (0..64).collect();
        assert_eq!(sum(&numbers), 63 * 64 / 2);
    }
}
