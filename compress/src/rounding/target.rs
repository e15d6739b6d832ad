//! What a matrix should be so that its layer, reading what the compressed model gives it, does what it did before.

use candle_core::{Device, Tensor};
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::forward::{ForwardError, with_values};

/// The matrix `W'` that makes `E|W x - W' y|² + λ |W - W'|²` least, `x` being what the layer read in the parent and `y` what it reads now:
/// `W' = W (C + λ) (H + λ)⁻¹` with `C = E[x yᵀ]`, `H = E[y yᵀ]`.
///
/// `weights` is `[rows, width]`, `cross` and `second` are `[width, width]`; `ridge` is `λ` relative to the mean of the diagonal of `H`. `None` if
/// the matrix to be inverted is singular.
///
/// Source: "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration", with a ridge toward the parent's weights.
///
/// # Errors
/// If there is no memory for a product.
pub fn asymmetric_target(
    weights: &[f32],
    width: usize,
    cross: &[f32],
    second: &[f32],
    ridge: f64,
) -> Result<Option<Vec<f32>>, ForwardError> {
    let mean = second.iter().step_by(width + 1).map(|&value| f64::from(value)).sum::<f64>() / width as f64;
    if mean <= 0.0 {
        return Ok(Some(weights.to_vec()));
    }
    let added = ridge * mean;
    let with_ridge = |matrix: &[f32], row: usize, column: usize| {
        f64::from(matrix[row * width + column]) + if row == column { added } else { 0.0 }
    };
    let Ok(inverse) =
        Mat::from_fn(width, width, |row, column| with_ridge(second, row, column)).llt(Side::Lower)
    else {
        return Ok(None);
    };
    // T = (C + λ) (H + λ)⁻¹, so (H + λ) Tᵀ = (C + λ)ᵀ
    let solved = inverse.solve(&Mat::from_fn(width, width, |row, column| with_ridge(cross, column, row)));
    let transform: Vec<f32> =
        (0..width * width).map(|index| solved[(index % width, index / width)] as f32).collect();
    let rows = weights.len() / width;
    let weights = Tensor::from_slice(weights, (rows, width), &Device::Cpu)?;
    let product = weights.matmul(&Tensor::from_vec(transform, (width, width), &Device::Cpu)?)?;
    Ok(Some(with_values(&product, <[f32]>::to_vec)?))
}
