//! From passes and samples to a rate.

/// How a task went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassRate {
    /// Samples that passed.
    pub passes: usize,
    /// Samples taken, up to the last pass or the cap.
    pub samples: usize,
    /// The cap ended it before there were enough passes.
    pub cut_off: bool,
}

/// What both ends of an interval leave out, together.
const OUTSIDE: f64 = 0.05;

impl PassRate {
    /// The rate without bias: `(r - 1) / (K - 1)` where the `r`-th pass ended it, since that last pass was certain to be one; `r / K` where
    /// the cap did. Both together are unbiased for this rule of stopping.
    ///
    /// Source: "Unbiased Estimates for Certain Binomial Sampling Problems with Applications".
    pub fn unbiased(&self) -> f64 {
        if self.cut_off {
            return self.biased();
        }
        if self.samples == 1 { 1.0 } else { (self.passes - 1) as f64 / (self.samples - 1) as f64 }
    }

    /// `r / K`: too large where the `r`-th pass ended it.
    pub fn biased(&self) -> f64 {
        self.passes as f64 / self.samples as f64
    }

    /// An interval that holds the rate at least 95 times in 100, exact for this rule of stopping.
    ///
    /// Source: "The use of confidence or fiducial limits illustrated in the case of the binomial", for a fixed number of samples or
    /// of passes.
    pub fn interval(&self) -> (f64, f64) {
        let (r, k) = (self.passes, self.samples);
        // P(at least r passes in k samples) = 2.5 %
        let lower = solve(|p| 1.0 - at_most(r as isize - 1, k, p) - OUTSIDE / 2.0);
        // P(at most as many passes) = 2.5 %; if the r-th pass ended it: at most r - 1 in the samples before
        let upper = if self.cut_off {
            solve(|p| OUTSIDE / 2.0 - at_most(r as isize, k, p))
        } else {
            solve(|p| OUTSIDE / 2.0 - at_most(r as isize - 1, k - 1, p))
        };
        (if r == 0 { 0.0 } else { lower }, upper)
    }
}

/// The probability of at most `passes` passes in `samples` samples.
fn at_most(passes: isize, samples: usize, p: f64) -> f64 {
    if passes < 0 {
        return 0.0;
    }
    if passes as usize >= samples {
        return 1.0;
    }
    let (mut log_choices, mut sum) = (0.0, 0.0);
    for i in 0..=passes as usize {
        sum += (log_choices + i as f64 * p.ln() + (samples - i) as f64 * (-p).ln_1p()).exp();
        log_choices += ((samples - i) as f64 / (i + 1) as f64).ln();
    }
    sum.min(1.0)
}

/// Where a rising function of a probability is zero.
fn solve(rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if rising(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(passes: usize, samples: usize, cut_off: bool) -> PassRate {
        PassRate { passes, samples, cut_off }
    }

    #[test]
    fn intervals_of_a_fixed_number_of_samples_are_the_published_ones() {
        // Clopper and Pearson; R: binom.test(3, 20)$conf.int, binom.test(0, 10)$conf.int
        let (lower, upper) = rate(3, 20, true).interval();
        assert!((lower - 0.032_070_94).abs() < 1e-7 && (upper - 0.378_926_8).abs() < 1e-7, "{lower} {upper}");
        let (lower, upper) = rate(0, 10, true).interval();
        assert!(lower == 0.0 && (upper - 0.308_497_1).abs() < 1e-7, "{upper}");
    }

    /// Over every way that sampling can go, weighed by its probability, the estimate is the rate and the interval holds it.
    #[test]
    fn the_estimate_has_no_bias_and_the_interval_holds_what_it_says() {
        let (passes, cap) = (3, 40);
        for p in [0.02_f64, 0.1, 0.5, 0.9] {
            let (mut mean, mut total, mut inside, mut biased) = (0.0, 0.0, 0.0, 0.0);
            let mut add = |rate: PassRate, probability: f64| {
                let (lower, upper) = rate.interval();
                mean += probability * rate.unbiased();
                biased += probability * rate.biased();
                total += probability;
                inside += if (lower..=upper).contains(&p) { probability } else { 0.0 };
            };
            // the last sample is the last pass
            for samples in passes..=cap {
                let before = at_most(2, samples - 1, p) - at_most(1, samples - 1, p);
                add(rate(passes, samples, false), before * p);
            }
            for passes in 0..3_isize {
                let probability = at_most(passes, cap, p) - at_most(passes - 1, cap, p);
                add(rate(passes as usize, cap, true), probability);
            }
            assert!((total - 1.0).abs() < 1e-9, "{total}");
            assert!((mean / p - 1.0).abs() < 1e-9, "{mean} is not {p}");
            assert!(inside > 0.95 - 1e-9, "{inside} at {p}");
            assert!(biased > p * 1.0001, "{biased} shows the bias at {p}");
        }
    }
}
