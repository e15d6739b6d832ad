//! Logits of one position as probabilities, and how far two positions are apart.

use crate::forward::{exp, sum_of, sum_of_two};

/// Numbers that are added in `f32` before the sum goes on in `f64`.
const BLOCK: usize = 256;

/// `ln Σ exp(logit)`, in two parts: the sum is that of logits less the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Softmax {
    pub greatest: f32,
    /// The first of the greatest.
    pub likeliest: usize,
    /// `Σ exp(logit - greatest)`
    pub sum: f64,
}

impl Softmax {
    /// Of logits, `[vocabulary]`.
    pub fn of(logits: &[f32]) -> Self {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let likeliest = logits.iter().position(|&logit| logit == greatest).unwrap_or_default();
        let sums = logits.chunks(BLOCK).map(|block| f64::from(sum_of(block, |logit| exp(logit - greatest))));
        Self { greatest, likeliest, sum: sums.sum() }
    }

    /// `-ln` of a token's probability.
    pub fn loss(&self, logit: f32) -> f64 {
        self.sum.ln() - f64::from(logit - self.greatest)
    }

    /// A token's probability.
    pub fn probability(&self, logit: f32) -> f64 {
        f64::from(exp(logit - self.greatest)) / self.sum
    }
}

/// `Σ p ln(p / q)` of the distributions that two rows of logits stand for, in nats. Both are `[vocabulary]`.
///
/// Written as `Σ p (x - y) - ln(Σ exp x / Σ exp y)` with `x` and `y` less their greatest: these differences are exact where it matters.
pub(super) fn divergence(
    parent: &[f32],
    parent_softmax: Softmax,
    child: &[f32],
    child_softmax: Softmax,
) -> f64 {
    let mut weighted = 0.0;
    for (parent, child) in parent.chunks(BLOCK).zip(child.chunks(BLOCK)) {
        weighted += f64::from(sum_of_two(parent, child, |x, y| {
            let x = x - parent_softmax.greatest;
            exp(x) * (x - (y - child_softmax.greatest))
        }));
    }
    weighted / parent_softmax.sum - (parent_softmax.sum / child_softmax.sum).ln()
}

/// As [`divergence`], from log-probabilities of the parent that were stored: those at or below `floor` stand for anything smaller and
/// add nothing, as in llama.cpp.
pub(super) fn divergence_from_stored(stored: &[f32], floor: f32, child: &[f32], softmax: Softmax) -> f64 {
    let log_sum = softmax.sum.ln() as f32;
    let mut sum = 0.0;
    for (stored, child) in stored.chunks(BLOCK).zip(child.chunks(BLOCK)) {
        sum += f64::from(sum_of_two(stored, child, |log_p, y| {
            let term = exp(log_p) * (log_p - (y - softmax.greatest - log_sum));
            if log_p > floor { term } else { 0.0 }
        }));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of `f32`'s epsilon: exponentials are good to two units in the last place, and their errors average out.
    const RESOLUTION: f64 = 3e-8;

    /// Logits of any shape: `scale * sin(seed * index)`.
    fn logits(seed: f32, scale: f32) -> Vec<f32> {
        (0..10_007).map(|index| scale * (seed * index as f32).sin()).collect()
    }

    fn exact(parent: &[f32], child: &[f32]) -> f64 {
        let log_softmax = |row: &[f32]| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            row.iter().map(|&x| f64::from(x) - sum.ln()).collect::<Vec<_>>()
        };
        let (p, q) = (log_softmax(parent), log_softmax(child));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    }

    #[test]
    fn losses_are_those_of_double_precision() {
        let row = logits(1.7, 9.0);
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        let softmax = Softmax::of(&row);
        for token in [0, 77, 10_006] {
            let exact = sum.ln() - f64::from(row[token]);
            assert!((softmax.loss(row[token]) - exact).abs() < 2e-6, "{exact}");
        }
        assert!((0..row.len()).all(|index| row[index] <= row[softmax.likeliest]));
    }

    #[test]
    fn divergences_are_those_of_double_precision_even_when_small() {
        let parent = logits(1.7, 9.0);
        for noise in [1.0, 0.1, 0.01] {
            let child: Vec<f32> = parent.iter().zip(logits(2.9, noise)).map(|(x, y)| x + y + 3.0).collect();
            let found = divergence(&parent, Softmax::of(&parent), &child, Softmax::of(&child));
            let exact = exact(&parent, &child);
            assert!((found - exact).abs() < 1e-6 * exact + RESOLUTION, "{found} is not {exact}");
        }
        let itself = divergence(&parent, Softmax::of(&parent), &parent, Softmax::of(&parent));
        assert_eq!(itself, 0.0);
    }
}
