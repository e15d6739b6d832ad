//! Rounding one sub-block with error feedback: what each choice of scale really costs.

use super::four::FourFactor;
use super::grid::LevelSet;
use crate::lanes::Lanes;
use crate::vector::Vector;

/// One number for each of eight rows.
pub type Eight<V> = Lanes<V, 1>;

/// The part of an inverse factor that belongs to one sub-block of columns.
pub struct LocalFactor<const LEN: usize> {
    /// Row `k` holds `U[j][k]` for `j < k`: what an error in column `j` does to column `k`.
    pub below: [[f32; LEN]; LEN],
    /// `1 / U[j][j]`
    pub inverse_diagonal: [f32; LEN],
}

impl<const LEN: usize> LocalFactor<LEN> {
    /// Columns `start..start + LEN` of `transposed`, `[width, width]`, which is `Uᵀ`.
    pub fn new(transposed: &[f32], width: usize, start: usize) -> Self {
        let mut local = Self { below: [[0.0; LEN]; LEN], inverse_diagonal: [0.0; LEN] };
        for k in 0..LEN {
            let row = &transposed[(start + k) * width + start..][..LEN];
            local.below[k].copy_from_slice(row);
            local.inverse_diagonal[k] = 1.0 / row[k];
        }
        local
    }

    /// The part of four columns from `start` on.
    #[inline(always)]
    fn four(&self, start: usize) -> FourFactor {
        FourFactor {
            below: std::array::from_fn(|row| {
                std::array::from_fn(|column| self.below[start + row][start + column])
            }),
            inverse_diagonal: std::array::from_fn(|column| self.inverse_diagonal[start + column]),
        }
    }
}

/// Scale and offset of a sub-block in each of eight rows: codes stand for `scale * level + offset`.
#[derive(Clone, Copy)]
pub struct Line<V> {
    pub scale: Eight<V>,
    pub offset: Eight<V>,
}

/// A sub-block as it was rounded.
pub struct Rounded<V, const LEN: usize> {
    /// Levels of the codes.
    pub levels: [Eight<V>; LEN],
    /// Error of each column, divided by its diagonal entry of the factor.
    pub errors: [Eight<V>; LEN],
    /// What is lost when all later columns make good what they can: the sum of squared errors as above.
    pub loss: Eight<V>,
}

/// Rounds column after column to the nearest level, or four at once where levels go together; each error is made good by the columns to its
/// right.
///
/// Source: "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", with `U` the upper factor in
/// `H⁻¹ = UᵀU`.
#[inline(always)]
pub fn round<L: LevelSet, V: Vector, const LEN: usize>(
    levels: L,
    values: &[Eight<V>],
    factor: &LocalFactor<LEN>,
    line: Line<V>,
) -> Rounded<V, LEN> {
    let mut rounded =
        Rounded { levels: [Lanes::zero(); LEN], errors: [Lanes::zero(); LEN], loss: Lanes::zero() };
    for start in (0..LEN).step_by(4) {
        let mut four: [Eight<V>; 4] = std::array::from_fn(|index| values[start + index]);
        for (index, value) in four.iter_mut().enumerate() {
            for earlier in 0..start {
                *value =
                    *value - rounded.errors[earlier] * Lanes::splat(factor.below[start + index][earlier]);
            }
        }
        let four = levels.four(four, &factor.four(start), line);
        for index in 0..4 {
            let error = four.errors[index];
            rounded.levels[start + index] = four.levels[index];
            rounded.errors[start + index] = error;
            rounded.loss = rounded.loss + error * error;
        }
    }
    rounded
}

/// The better of several lines in each row, by what rounding with them loses.
pub struct Best<V> {
    pub line: Line<V>,
    pub loss: Eight<V>,
}

impl<V: Vector> Best<V> {
    /// Anything is better.
    #[inline(always)]
    pub fn none() -> Self {
        let zero = Line { scale: Lanes::zero(), offset: Lanes::zero() };
        Self { line: zero, loss: Lanes::splat(f32::INFINITY) }
    }

    /// Tries one more line.
    #[inline(always)]
    pub fn consider<L: LevelSet, const LEN: usize>(
        &mut self,
        levels: L,
        values: &[Eight<V>],
        factor: &LocalFactor<LEN>,
        line: Line<V>,
    ) {
        let loss = round(levels, values, factor, line).loss;
        self.line.scale = loss.if_less(self.loss, line.scale, self.line.scale);
        self.line.offset = loss.if_less(self.loss, line.offset, self.line.offset);
        self.loss = loss.if_less(self.loss, loss, self.loss);
    }
}
