//! What a squared error counts.

use super::lanes::{Grid, Lanes};
use super::vector::Vector;

/// Weights of the numbers of a grid. Two kinds, so that the plain error costs no multiplications.
pub trait Weights<V: Vector, const W: usize> {
    /// Products of the weights at position `index` of all sub-blocks with `values`.
    fn times(&self, index: usize, values: Lanes<V, W>) -> Lanes<V, W>;
}

/// Every number counts alike.
pub struct Plain;

impl<V: Vector, const W: usize> Weights<V, W> for Plain {
    #[inline(always)]
    fn times(&self, _: usize, values: Lanes<V, W>) -> Lanes<V, W> {
        values
    }
}

impl<V: Vector, const W: usize, const LEN: usize> Weights<V, W> for Grid<V, W, LEN> {
    #[inline(always)]
    fn times(&self, index: usize, values: Lanes<V, W>) -> Lanes<V, W> {
        self[index] * values
    }
}
