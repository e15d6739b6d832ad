//! What a text has to say about a matrix that is solved anew.

use super::Equations;
use crate::statistics::{CrossMoments, Moments};

/// Second moments of what a matrix reads, and how what it should give goes with them.
#[derive(Debug, Clone)]
pub struct Sums {
    second: Moments,
    cross: CrossMoments,
}

impl Sums {
    /// No tokens yet, for a matrix `[outputs, width]`.
    pub fn new(outputs: usize, width: usize) -> Self {
        Self { second: Moments::new(width), cross: CrossMoments::new(outputs, width) }
    }

    /// Adds tokens: what the matrix reads, `[tokens, width]`, and what should come out, `[tokens, outputs]`.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, inputs: &[f32], wanted: &[f32]) -> candle_core::Result<()> {
        self.second.add(inputs)?;
        self.cross.add(wanted, inputs)
    }

    /// Adds what others have summed.
    pub fn merge(&mut self, other: &Self) {
        self.second.merge(&other.second);
        self.cross.merge(&other.cross);
    }

    /// True if nothing was added.
    pub fn is_empty(&self) -> bool {
        self.second.averages().tokens() == 0
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.second.width()
    }

    /// `E[y yᵀ]` of the inputs, `[width, width]`.
    pub fn second(&self) -> Vec<f32> {
        self.second.averages().second()
    }

    /// `E[d yᵀ]` of what should come out and the inputs, `[outputs, width]`.
    pub fn cross(&self) -> Vec<f32> {
        self.cross.mean()
    }

    /// The averages.
    pub fn equations(&self) -> Equations {
        Equations::new(self.width(), self.second(), self.cross())
    }
}
