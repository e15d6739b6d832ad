//! A device and runtime at one thread count, as plain numbers.

use crate::FORMATS;

/// What the formulas need of a device; times in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Bytes per second that decoding reaches at this thread count.
    pub bandwidth: f64,
    /// Seconds per weight in decoding, all threads together, by format.
    pub decode: [f64; FORMATS],
    /// Seconds per floating-point operation in prefill, all threads together, by format.
    pub prefill: [f64; FORMATS],
    /// Seconds per layer and token that no size explains: launches, barriers, norms.
    pub fixed_per_layer: f64,
    /// How much longer a cached byte takes than a byte of weights.
    pub cached_byte_cost: f64,
    /// Seconds per floating-point operation of attention in prefill.
    pub attention: f64,
}

/// How many of the fastest cores `threads` threads are worth.
///
/// `clusters` holds the number of cores and the speed relative to the fastest, fastest first. Threads beyond the cores (two per core) add
/// nothing: both compete for the same arithmetic units.
pub fn effective_cores(clusters: &[(usize, f64)], threads: usize) -> f64 {
    let mut left = threads;
    let mut sum = 0.0;
    for &(count, speed) in clusters {
        let used = left.min(count);
        sum += used as f64 * speed;
        left -= used;
    }
    sum.max(0.05)
}

/// By what the fixed cost of a layer grows with threads: cores all wait for each other after every step.
pub fn waiting(on_cores: bool, threads: usize, power: f64) -> f64 {
    if on_cores { (threads.max(1) as f64).powf(power) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_cores_count_for_less_and_second_threads_for_nothing() {
        let clusters = [(4, 1.0), (4, 0.5)];
        assert_eq!(effective_cores(&clusters, 2), 2.0);
        assert_eq!(effective_cores(&clusters, 6), 5.0);
        assert_eq!(effective_cores(&clusters, 16), 6.0);
    }
}
