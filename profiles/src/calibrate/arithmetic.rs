//! How fast one core multiplies and adds: what the clock and the width that a system states come to here.

use std::hint::black_box;
use std::time::Instant;

/// Registers of 128 bits that are busy at once: as many as hide the time of a multiplication and an addition behind each other.
const REGISTERS: usize = 10;
const NUMBERS: usize = 4 * REGISTERS;
const ROUNDS: usize = 2_000_000;
/// The fastest counts, as in reading.
const PASSES: usize = 9;

/// Kernels that are built for the processor fuse both and work on 256 bits at once on x86-64; this program is built for every processor.
const OF_BUILT_KERNELS: f64 = if cfg!(target_arch = "x86_64") { 4.0 } else { 1.0 };

/// Vector operations of 128 bits per second that a runtime's kernels reach on one core, in billions, by our own multiplications and additions.
pub fn vector_rate() -> f64 {
    let seconds = (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min);
    (ROUNDS * REGISTERS) as f64 * OF_BUILT_KERNELS / seconds / 1e9
}

fn pass() -> f64 {
    let (factor, term) = (black_box(0.999_f32), black_box(0.001_f32));
    let mut numbers = black_box([1.0_f32; NUMBERS]);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for number in &mut numbers {
            *number = multiply_add(*number, factor, term);
        }
    }
    black_box(numbers);
    start.elapsed().as_secs_f64()
}

/// One instruction where every processor of the kind has it.
fn multiply_add(number: f32, factor: f32, term: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { number.mul_add(factor, term) } else { number * factor + term }
}
