//! Sums over tokens of what a linear layer reads.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::InputMoments;
use crate::forward::with_values;

/// Tokens whose products are summed in `f32` before they join the sums in `f64`: one chunk of the forward pass.
const CHUNK_TOKENS: usize = 512;

/// Rows of the product that are computed at a time, from their diagonal on: what lies below it is the same numbers again.
const BLOCK_ROWS: usize = 192;

/// Sums over tokens of `x xᵀ` and `x`, for the inputs `x` of a linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    width: usize,
    tokens: u64,
    /// The upper triangle row after row: `[width (width + 1) / 2]`
    products: Vec<f64>,
    /// `[width]`
    values: Vec<f64>,
}

impl Moments {
    /// No tokens yet; `width` is the layer's `in_features`.
    pub fn new(width: usize) -> Self {
        Self { width, tokens: 0, products: vec![0.0; width * (width + 1) / 2], values: vec![0.0; width] }
    }

    /// Adds inputs, `[tokens, width]`. The sums do not depend on the number of threads.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, input: &[f32]) -> Result<()> {
        let width = self.width;
        for chunk in input.chunks(CHUNK_TOKENS * width) {
            let tokens = chunk.len() / width;
            let rows = Tensor::from_slice(chunk, (tokens, width), &Device::Cpu)?;
            let mut sums = self.products.as_mut_slice();
            for start in (0..width).step_by(BLOCK_ROWS) {
                let block = BLOCK_ROWS.min(width - start);
                let left = rows.narrow(1, start, block)?.contiguous()?;
                let right = rows.narrow(1, start, width - start)?.contiguous()?;
                // [block, tokens] x [tokens, width - start]
                let product = left.t()?.matmul(&right)?;
                sums = with_values(&product, |product| add_triangle(sums, product, block))?;
            }
            for row in chunk.chunks_exact(width) {
                add_to(&mut self.values, row);
            }
            self.tokens += tokens as u64;
        }
        Ok(())
    }

    /// Adds what others of the same width have summed.
    pub fn merge(&mut self, other: &Self) {
        self.products.iter_mut().zip(&other.products).for_each(|(sum, more)| *sum += more);
        self.values.iter_mut().zip(&other.values).for_each(|(sum, more)| *sum += more);
        self.tokens += other.tokens;
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The averages over all inputs seen; zeros if there were none.
    pub fn averages(&self) -> InputMoments {
        self.averages_over(self.tokens as f64)
    }

    /// The sums divided by `total` instead of the number of inputs: for inputs that were weighted. Zeros if it is zero.
    pub fn averages_over(&self, total: f64) -> InputMoments {
        let factor = if total > 0.0 { 1.0 / total } else { 0.0 };
        let average = |sums: &[f64]| sums.iter().map(|sum| (sum * factor) as f32).collect();
        InputMoments::new(self.tokens, average(&self.products), average(&self.values))
    }
}

/// Adds what stands on and above the diagonal of `product`, `[block, columns]`, to the first rows of the triangle
/// `sums`; gives the rows after them.
fn add_triangle<'a>(mut sums: &'a mut [f64], product: &[f32], block: usize) -> &'a mut [f64] {
    let columns = product.len() / block;
    let mut rows = Vec::with_capacity(block);
    for row in 0..block {
        let (first, after) = sums.split_at_mut(columns - row);
        rows.push(first);
        sums = after;
    }
    let pairs = rows.into_par_iter().zip(product.par_chunks(columns)).enumerate();
    pairs.for_each(|(row, (sums, product))| add_to(sums, &product[row..]));
    sums
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

    /// Wider than a block, longer than a chunk.
    const WIDTH: usize = BLOCK_ROWS + 24;

    #[test]
    fn are_the_averages_of_products() {
        let tokens = 700;
        let input = numbers(WIDTH * tokens);
        let mut moments = Moments::new(WIDTH);
        moments.add(&input[..WIDTH * 600]).unwrap();
        moments.add(&input[WIDTH * 600..]).unwrap();
        let averages = moments.averages();
        let second = averages.second();
        for row in 0..WIDTH {
            for column in 0..WIDTH {
                let products = input.chunks(WIDTH).map(|x| f64::from(x[row]) * f64::from(x[column]));
                let expected = products.sum::<f64>() / tokens as f64;
                assert!((f64::from(second[row * WIDTH + column]) - expected).abs() < 1e-6, "{row}, {column}");
            }
            let mean = input.chunks(WIDTH).map(|x| f64::from(x[row])).sum::<f64>() / tokens as f64;
            assert!((f64::from(averages.mean()[row]) - mean).abs() < 1e-7);
        }
        assert_eq!(averages.tokens(), tokens as u64);
    }

    #[test]
    fn do_not_depend_on_the_number_of_threads() {
        let input = numbers(WIDTH * 700);
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut moments = Moments::new(WIDTH);
                moments.add(&input).unwrap();
                moments
            })
        };
        assert_eq!(with_threads(1), with_threads(2));
        assert_eq!(with_threads(1), with_threads(3));
    }
}
