//! What a text has to say about a matrix that is solved anew.

use candle_core::{Device, Tensor};

use crate::forward::with_values;
use crate::statistics::{CrossMoments, Moments};

/// Second moments of what a matrix reads, and how what it should give goes with them.
#[derive(Debug, Clone)]
pub struct Sums {
    second: Moments,
    cross: CrossMoments,
}

/// The same in averages.
#[derive(Debug, Clone)]
pub struct Averages {
    /// Features of an input.
    pub width: usize,
    /// `E[y yᵀ]` of the inputs, `[width, width]`.
    pub second: Vec<f32>,
    /// `E[d yᵀ]` of what should come out and the inputs, `[outputs, width]`.
    pub cross: Vec<f32>,
}

impl Averages {
    /// The cross moments of a matrix that should give what `weights`, `[rows, outputs]`, make of what should come out here: `E[(W d) yᵀ] = W E[d yᵀ]`,
    /// `[rows, width]`.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn through(&self, weights: &[f32]) -> candle_core::Result<Vec<f32>> {
        let outputs = self.cross.len() / self.width;
        // [rows, outputs] x [outputs, width]
        let left = Tensor::from_slice(weights, (weights.len() / outputs, outputs), &Device::Cpu)?;
        let product = left.matmul(&Tensor::from_slice(&self.cross, (outputs, self.width), &Device::Cpu)?)?;
        with_values(&product, <[f32]>::to_vec)
    }
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
        let Self { second, cross } = self;
        let (second, cross) = rayon::join(|| second.add(inputs), || cross.add(wanted, inputs));
        second.and(cross)
    }

    /// Adds what others have summed.
    pub fn merge(&mut self, other: &Self) {
        self.second.merge(&other.second);
        self.cross.merge(&other.cross);
    }

    /// The averages; `None` if nothing was added.
    pub fn averages(&self) -> Option<Averages> {
        let second = self.second.averages();
        let is_there = second.tokens() > 0;
        is_there.then(|| Averages {
            width: self.second.width(),
            second: second.second(),
            cross: self.cross.mean(),
        })
    }
}
