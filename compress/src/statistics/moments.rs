//! Second moments of what a linear layer reads.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::forward::with_values;

/// Tokens whose products are summed in `f32` before they join the sums in `f64`: one chunk of the forward pass.
const CHUNK_TOKENS: usize = 512;

/// Sums over tokens of `x xᵀ` and `x`, for the inputs `x` of a linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    width: usize,
    tokens: u64,
    /// `[width, width]`
    products: Vec<f64>,
    /// `[width]`
    values: Vec<f64>,
}

impl Moments {
    /// No tokens yet; `width` is the layer's `in_features`.
    pub fn new(width: usize) -> Self {
        Self { width, tokens: 0, products: vec![0.0; width * width], values: vec![0.0; width] }
    }

    /// Adds inputs, `[tokens, width]`. The sums do not depend on the number of threads.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, input: &[f32]) -> Result<()> {
        for chunk in input.chunks(CHUNK_TOKENS * self.width) {
            let tokens = chunk.len() / self.width;
            let rows = Tensor::from_slice(chunk, (tokens, self.width), &Device::Cpu)?;
            // [width, tokens] x [tokens, width]
            with_values(&rows.t()?.matmul(&rows)?, |product| {
                let sums = self.products.par_chunks_mut(self.width).zip(product.par_chunks(self.width));
                sums.for_each(|(sums, product)| add_to(sums, product));
            })?;
            for row in chunk.chunks_exact(self.width) {
                add_to(&mut self.values, row);
            }
            self.tokens += tokens as u64;
        }
        Ok(())
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Inputs seen.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `E[x xᵀ]`, `[width, width]`; zeros if nothing was seen.
    pub fn second(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.products.iter().map(|sum| (sum / tokens) as f32).collect()
    }

    /// `E[x²]` of each feature, `[width]`: the diagonal of [`second`](Self::second).
    pub fn diagonal(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.products.iter().step_by(self.width + 1).map(|sum| (sum / tokens) as f32).collect()
    }

    /// `E[x]`, `[width]`.
    pub fn mean(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.values.iter().map(|sum| (sum / tokens) as f32).collect()
    }
}

fn add_to(sums: &mut [f64], values: &[f32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += f64::from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that repeat late.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count as u64).map(|index| (index * 7_919 % 10_007) as f32 / 5_003.5 - 1.0).collect()
    }

    #[test]
    fn are_the_averages_of_products() {
        let (width, tokens) = (24, 1300);
        let input = numbers(width * tokens);
        let mut moments = Moments::new(width);
        moments.add(&input[..width * 700]).unwrap();
        moments.add(&input[width * 700..]).unwrap();
        let second = moments.second();
        for row in 0..width {
            for column in 0..width {
                let products = input.chunks(width).map(|x| f64::from(x[row]) * f64::from(x[column]));
                let expected = products.sum::<f64>() / tokens as f64;
                assert!((f64::from(second[row * width + column]) - expected).abs() < 1e-6, "{row}, {column}");
            }
            assert_eq!(moments.diagonal()[row], second[row * width + row]);
            let mean = input.chunks(width).map(|x| f64::from(x[row])).sum::<f64>() / tokens as f64;
            assert!((f64::from(moments.mean()[row]) - mean).abs() < 1e-7);
        }
        assert_eq!(moments.tokens(), tokens as u64);
    }

    #[test]
    fn do_not_depend_on_the_number_of_threads() {
        let input = numbers(96 * 700);
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut moments = Moments::new(96);
                moments.add(&input).unwrap();
                moments
            })
        };
        assert_eq!(with_threads(1), with_threads(3));
    }
}
