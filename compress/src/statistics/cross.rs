//! How what a layer reads goes together with what it should have read.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::forward::with_values;

/// Tokens whose products are summed in `f32` before they join the sums in `f64`.
const CHUNK_TOKENS: usize = 512;

/// Sums over tokens of `x yᵀ`, for two inputs `x` and `y` of the same linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossMoments {
    width: usize,
    tokens: u64,
    /// `[width, width]`
    products: Vec<f64>,
}

impl CrossMoments {
    /// No tokens yet; `width` is the layer's `in_features`.
    pub fn new(width: usize) -> Self {
        Self { width, tokens: 0, products: vec![0.0; width * width] }
    }

    /// Adds pairs of inputs, both `[tokens, width]`. The sums do not depend on the number of threads.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, left: &[f32], right: &[f32]) -> Result<()> {
        let size = CHUNK_TOKENS * self.width;
        for (left, right) in left.chunks(size).zip(right.chunks(size)) {
            let tokens = left.len() / self.width;
            let matrix = |values| Tensor::from_slice(values, (tokens, self.width), &Device::Cpu);
            // [width, tokens] x [tokens, width]
            with_values(&matrix(left)?.t()?.matmul(&matrix(right)?)?, |product| {
                let sums = self.products.par_chunks_mut(self.width).zip(product.par_chunks(self.width));
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

    /// `E[x yᵀ]`, `[width, width]`; zeros if nothing was seen.
    pub fn mean(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.products.iter().map(|sum| (sum / tokens) as f32).collect()
    }
}
