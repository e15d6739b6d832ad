//! How what a layer reads goes together with what it should have read.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::forward::with_values;

/// Tokens whose products are summed in `f32` before they join the sums in `f64`.
const CHUNK_TOKENS: usize = 512;

/// Sums over tokens of `x yᵀ`, for two vectors `x` and `y` of each token.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossMoments {
    left: usize,
    right: usize,
    tokens: u64,
    /// `[left, right]`
    products: Vec<f64>,
}

impl CrossMoments {
    /// No tokens yet; `left` and `right` are the widths of `x` and `y`.
    pub fn new(left: usize, right: usize) -> Self {
        Self { left, right, tokens: 0, products: vec![0.0; left * right] }
    }

    /// Adds pairs, `[tokens, left]` and `[tokens, right]`. The sums do not depend on the number of threads.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, left: &[f32], right: &[f32]) -> Result<()> {
        let chunks = left.chunks(CHUNK_TOKENS * self.left).zip(right.chunks(CHUNK_TOKENS * self.right));
        for (left, right) in chunks {
            let tokens = left.len() / self.left;
            let left = Tensor::from_slice(left, (tokens, self.left), &Device::Cpu)?;
            let right = Tensor::from_slice(right, (tokens, self.right), &Device::Cpu)?;
            // [left, tokens] x [tokens, right]
            with_values(&left.t()?.matmul(&right)?, |product| {
                let sums = self.products.par_chunks_mut(self.right).zip(product.par_chunks(self.right));
                sums.for_each(|(sums, product)| {
                    for (sum, &value) in sums.iter_mut().zip(product) {
                        *sum += f64::from(value);
                    }
                });
            })?;
            self.tokens += tokens as u64;
        }
        Ok(())
    }

    /// Adds what others of the same widths have summed.
    pub fn merge(&mut self, other: &Self) {
        self.products.iter_mut().zip(&other.products).for_each(|(sum, more)| *sum += more);
        self.tokens += other.tokens;
    }

    /// `E[x yᵀ]`, `[left, right]`; zeros if nothing was seen.
    pub fn mean(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.products.iter().map(|sum| (sum / tokens) as f32).collect()
    }
}
