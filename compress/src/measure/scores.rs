//! What was measured, token by token, and the numbers that are told of it.

use super::Chunks;
use super::estimate::{Estimate, correlation, mean, quantile, ratio};

/// How well a model predicts a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Of each chunk, the loss of every scored token in nats: `-ln` of its probability.
    pub losses: Vec<Vec<f64>>,
    /// Of each chunk, the bytes that its scored tokens spell.
    pub bytes: Vec<u64>,
}

/// How far a model is from its parent, over positions that both were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Of each chunk, every compared position.
    pub positions: Vec<Vec<Compared>>,
}

/// Parent and child after the same text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// `Σ p ln(p / q)` over the tokens of both, `p` the parent's, in nats.
    pub divergence: f64,
    /// Both hold the same token for the likeliest.
    pub same_top: bool,
    /// The parent's loss of the token that follows, in nats.
    pub parent_loss: f64,
    /// The child's loss of that token, in nats.
    pub child_loss: f64,
}

impl Scores {
    pub(super) fn new(chunks: &Chunks) -> Self {
        let bytes = chunks.all.iter().map(|chunk| chunk.scored_bytes).collect();
        Self { losses: Vec::with_capacity(chunks.len()), bytes }
    }

    pub(super) fn of_chunks(&self, is_wanted: &impl Fn(usize) -> bool) -> Self {
        Self { losses: wanted(&self.losses, is_wanted), bytes: wanted(&self.bytes, is_wanted) }
    }

    /// Tokens that were scored.
    pub fn tokens(&self) -> usize {
        self.losses.iter().map(Vec::len).sum()
    }

    /// The mean loss of a token, in nats.
    pub fn loss(&self) -> Estimate {
        mean(&self.losses)
    }

    /// `exp` of the mean loss of a token. Comparable only between models of one tokenizer.
    pub fn perplexity(&self) -> Estimate {
        self.loss().map(f64::exp, f64::exp)
    }

    /// The loss in bits, over the bytes that the scored tokens spell. Comparable between tokenizers.
    pub fn bits_per_byte(&self) -> Estimate {
        let bits = |losses: &Vec<f64>| losses.iter().sum::<f64>() / std::f64::consts::LN_2;
        let chunks: Vec<_> = self
            .losses
            .iter()
            .zip(&self.bytes)
            .map(|(losses, &bytes)| (bits(losses), bytes as f64))
            .collect();
        ratio(&chunks)
    }
}

/// What belongs to the chunks that are wanted.
pub(super) fn wanted<T: Clone>(of_chunks: &[T], is_wanted: &impl Fn(usize) -> bool) -> Vec<T> {
    let kept = of_chunks.iter().enumerate().filter(|(chunk, _)| is_wanted(*chunk));
    kept.map(|(_, of_chunk)| of_chunk.clone()).collect()
}

impl Divergence {
    /// Positions that were compared.
    pub fn count(&self) -> usize {
        self.positions.iter().map(Vec::len).sum()
    }

    /// The mean divergence, in nats.
    pub fn mean(&self) -> Estimate {
        mean(&self.column(|position| position.divergence))
    }

    /// The mean divergence of each chunk, in nats.
    pub fn mean_of_chunk(&self) -> Vec<f64> {
        let mean = |chunk: &Vec<Compared>| {
            chunk.iter().map(|position| position.divergence).sum::<f64>() / chunk.len() as f64
        };
        self.positions.iter().map(mean).collect()
    }

    /// The divergence below which a `share` of all positions lies, in nats.
    pub fn quantile(&self, share: f64) -> Estimate {
        quantile(&self.column(|position| position.divergence), share)
    }

    /// The greatest divergence, in nats. An extreme has no standard error.
    pub fn maximum(&self) -> f64 {
        self.positions.iter().flatten().map(|position| position.divergence).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The share of positions where both hold the same token for the likeliest.
    pub fn same_top(&self) -> Estimate {
        mean(&self.column(|position| f64::from(u8::from(position.same_top))))
    }

    /// Pearson's correlation of the log-probabilities of the tokens that follow.
    pub fn correlation(&self) -> Estimate {
        let pairs = |position: &Compared| (position.parent_loss, position.child_loss);
        let chunks: Vec<_> = self.positions.iter().map(|chunk| chunk.iter().map(pairs).collect()).collect();
        correlation(&chunks)
    }

    /// The mean of the child's loss less the parent's, token by token: `ln` of their perplexities' ratio.
    pub fn log_perplexity_ratio(&self) -> Estimate {
        mean(&self.column(|position| position.child_loss - position.parent_loss))
    }

    fn column(&self, value: impl Fn(&Compared) -> f64) -> Vec<Vec<f64>> {
        self.positions.iter().map(|chunk| chunk.iter().map(&value).collect()).collect()
    }
}
