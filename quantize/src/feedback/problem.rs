//! What an error in one column costs, and what other columns can do about it.

use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Mat, Par, Side};

use super::trial::LocalFactor;

/// Why second moments cannot weigh errors.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// Not `[width, width]`.
    #[error("{found} second moments are no square matrix of width {width}")]
    WrongSize {
        /// Numbers given.
        found: usize,
        /// Features of an input.
        width: usize,
    },
    /// An infinity or a NaN.
    #[error("the second moment of columns {row} and {column} is {value}")]
    NotFinite {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
        /// What it is.
        value: f32,
    },
    /// Even damped, the matrix is not positive definite.
    #[error("the second moments of width {width} are not positive definite, even with damping {damping}")]
    Singular {
        /// Features of an input.
        width: usize,
        /// Relative to the mean of the diagonal.
        damping: f64,
    },
}

/// The quadratic form `(w - q) H (w - q)ᵀ` that rounding a row makes small, prepared.
#[derive(Debug, Clone)]
pub struct Problem {
    width: usize,
    /// `H`, damped, `[width, width]`
    hessian: Vec<f32>,
    /// `Uᵀ` with `H⁻¹ = UᵀU`, `U` upper triangular, `[width, width]`: row `k` holds what an error in each column to the left does to
    /// column `k`.
    factor: Vec<f32>,
}

impl Problem {
    /// From `E[x xᵀ]`, `[width, width]`, of the inputs of a linear layer. `damping` times the mean of the diagonal is added to the
    /// diagonal: channels that were never seen count that much.
    ///
    /// # Errors
    /// If the matrix is not square, not finite, or not positive definite after damping.
    pub fn new(second: &[f32], width: usize, damping: f64) -> Result<Self, ProblemError> {
        if second.len() != width * width {
            return Err(ProblemError::WrongSize { found: second.len(), width });
        }
        if let Some(index) = second.iter().position(|value| !value.is_finite()) {
            return Err(ProblemError::NotFinite {
                row: index / width,
                column: index % width,
                value: second[index],
            });
        }
        let mean =
            second.iter().step_by(width + 1).map(|&value| f64::from(value)).sum::<f64>() / width as f64;
        // a layer that reads nothing but zeros: every column counts the same
        let (mean, added) = if mean > 0.0 { (mean, damping) } else { (1.0, 1.0) };
        let entry = |row: usize, column: usize| {
            let value = f64::from(second[row * width + column]) / mean;
            if row == column { value + added } else { value }
        };
        let hessian = (0..width * width).map(|index| entry(index / width, index % width) as f32).collect();
        let factor = transposed_factor(width, entry).ok_or(ProblemError::Singular { width, damping })?;
        Ok(Self { width, hessian, factor })
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `H`, damped and divided by the mean of its diagonal, `[width, width]`.
    pub fn hessian(&self) -> &[f32] {
        &self.hessian
    }

    pub(super) fn factor(&self) -> &[f32] {
        &self.factor
    }

    pub(super) fn local<const LEN: usize>(&self, column: usize) -> LocalFactor<LEN> {
        LocalFactor::new(&self.factor, self.width, column)
    }
}

/// `Uᵀ`, `[width, width]`, with `H⁻¹ = UᵀU`.
///
/// With the order of the columns turned around, `H = L Lᵀ`; turned back, `L` is upper triangular, and `U` its inverse.
fn transposed_factor(width: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Vec<f32>> {
    let last = width - 1;
    let turned = Mat::from_fn(width, width, |row, column| entry(last - row, last - column));
    let lower = turned.llt(Side::Lower).ok()?;
    let mut inverse = Mat::<f64>::zeros(width, width);
    // one thread: the order of sums does not depend on the machine
    invert_lower_triangular(inverse.as_mut(), lower.L(), Par::Seq);
    // U[j][k] = inverse[last - j][last - k], and the transpose holds it at [k][j]
    let transposed = (0..width * width).map(|index| {
        let (k, j) = (index / width, index % width);
        if j <= k { inverse[(last - j, last - k)] as f32 } else { 0.0 }
    });
    Some(transposed.collect())
}
