//! Values with their standard errors: what is left out and put back are whole chunks, since the tokens of one chunk are not
//! independent of each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The value over all chunks.
    pub value: f64,
    /// Its standard error; `None` where one chunk is all there is.
    pub error: Option<f64>,
}

impl Estimate {
    /// The same under a smooth function, whose derivative at the value scales the error.
    pub(super) fn map(self, function: impl Fn(f64) -> f64, derivative: impl Fn(f64) -> f64) -> Self {
        let scale = derivative(self.value).abs();
        Self { value: function(self.value), error: self.error.map(|error| error * scale) }
    }
}

/// A statistic of all chunks, with the jackknife's error: `statistic` is asked for all of them, then without each.
///
/// `error² = (n - 1) / n * Σ (θ without i - mean)²`. For a mean over chunks of the same length this is the well-known deviation
/// over the root of `n`. Source: "The Jackknife, the Bootstrap and Other Resampling Plans".
pub(super) fn jackknife(chunks: usize, statistic: impl Fn(Option<usize>) -> f64) -> Estimate {
    let value = statistic(None);
    if chunks < 2 {
        return Estimate { value, error: None };
    }
    let without: Vec<f64> = (0..chunks).map(|chunk| statistic(Some(chunk))).collect();
    let n = chunks as f64;
    let mean = without.iter().sum::<f64>() / n;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    Estimate { value, error: Some(((n - 1.0) / n * squares).sqrt()) }
}

/// `Σ numerator / Σ denominator`, of pairs that each belong to a chunk.
pub(super) fn ratio(chunks: &[(f64, f64)]) -> Estimate {
    jackknife(chunks.len(), |left_out| {
        let (numerator, denominator) = but(chunks, left_out)
            .fold((0.0, 0.0), |sum: (f64, f64), chunk| (sum.0 + chunk.0, sum.1 + chunk.1));
        numerator / denominator
    })
}

/// The mean of all values.
pub(super) fn mean(chunks: &[Vec<f64>]) -> Estimate {
    let sums: Vec<_> = chunks.iter().map(|values| (values.iter().sum(), values.len() as f64)).collect();
    ratio(&sums)
}

/// The value below which a `share` of all values lies, linear between neighbours.
pub(super) fn quantile(chunks: &[Vec<f64>], share: f64) -> Estimate {
    let mut sorted: Vec<(f64, usize)> = chunks
        .iter()
        .enumerate()
        .flat_map(|(chunk, values)| values.iter().map(move |&value| (value, chunk)))
        .collect();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
    jackknife(chunks.len(), |left_out| {
        let count = sorted.len() - left_out.map_or(0, |chunk| chunks[chunk].len());
        let rank = share * count.saturating_sub(1) as f64;
        let mut kept = sorted.iter().filter(|(_, chunk)| Some(*chunk) != left_out).map(|(value, _)| *value);
        let lower = kept.nth(rank as usize).unwrap_or(f64::NAN);
        let upper = kept.next().unwrap_or(lower);
        lower + (upper - lower) * rank.fract()
    })
}

/// Pearson's correlation of pairs.
pub(super) fn correlation(chunks: &[Vec<(f64, f64)>]) -> Estimate {
    let moments: Vec<[f64; 6]> = chunks.iter().map(|pairs| moments_of(pairs)).collect();
    jackknife(chunks.len(), |left_out| {
        let [n, x, y, xx, yy, xy] = but(&moments, left_out).fold([0.0; 6], |mut sum, chunk| {
            sum.iter_mut().zip(chunk).for_each(|(sum, moment)| *sum += moment);
            sum
        });
        (n * xy - x * y) / ((n * xx - x * x) * (n * yy - y * y)).sqrt()
    })
}

/// Count, sums, sums of squares, sum of products.
fn moments_of(pairs: &[(f64, f64)]) -> [f64; 6] {
    pairs.iter().fold([0.0; 6], |sum, &(x, y)| {
        [sum[0] + 1.0, sum[1] + x, sum[2] + y, sum[3] + x * x, sum[4] + y * y, sum[5] + x * y]
    })
}

fn but<T>(chunks: &[T], left_out: Option<usize>) -> impl Iterator<Item = &T> {
    chunks.iter().enumerate().filter(move |(index, _)| Some(*index) != left_out).map(|(_, chunk)| chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12 * right.abs().max(1.0), "{left} is not {right}");
    }

    #[test]
    fn the_error_of_a_mean_is_the_deviation_over_the_root_of_the_count() {
        let estimate = mean(&[vec![1.0, 3.0], vec![5.0, 5.0], vec![2.0, 8.0]]);
        // chunk means 2, 5, 5: deviation sqrt(3), over sqrt(3)
        near(estimate.value, 4.0);
        near(estimate.error.unwrap(), 1.0);
    }

    #[test]
    fn one_chunk_has_no_error() {
        assert_eq!(mean(&[vec![1.0, 2.0]]), Estimate { value: 1.5, error: None });
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        // numpy.percentile([1, 2, 3, 4, 10], [50, 99]); without a chunk: the same of what is left
        let chunks = [vec![4.0, 1.0], vec![10.0, 2.0, 3.0]];
        near(quantile(&chunks, 0.5).value, 3.0);
        near(quantile(&chunks, 0.99).value, 9.76);
        // without the first 3, without the second 2.5: error sqrt(1/2 * 2 * 0.25²)
        near(quantile(&chunks, 0.5).error.unwrap(), 0.25);
    }

    #[test]
    fn correlation_is_pearsons() {
        // numpy.corrcoef([1, 2, 3, 4], [2, 1, 4, 3])[0, 1]
        let estimate = correlation(&[vec![(1.0, 2.0), (2.0, 1.0)], vec![(3.0, 4.0), (4.0, 3.0)]]);
        near(estimate.value, 0.6);
        near(correlation(&[vec![(1.0, -2.0), (2.0, -4.0), (5.0, -10.0)]]).value, -1.0);
    }
}
