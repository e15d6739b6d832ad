//! Sub-blocks stored as `scale * value of the code`: the search for scales.

use super::lanes::{Grid, Lanes, halved, in_order, next_half, previous_half};
use super::levels::Levels;
use super::vector::Vector;
use super::weights::Weights;

/// What a type can store, and how thoroughly to search.
pub struct SymmetricFormat {
    /// The lowest and the highest whole-numbered scale.
    pub sub: (f32, f32),
    /// Where the search starts: onto which values the number of largest magnitude falls.
    pub starts: &'static [f32],
    /// Times that each start is coded again with its best scale.
    pub refinements: usize,
    /// What the largest scale may be divided by to become the scale of the super-block.
    pub divisors: &'static [f32],
    /// Times that the scale of the super-block is fitted anew to the codes.
    pub rounds: usize,
}

/// The scale of every sub-block, and how the squared error grows around it while the codes stay: by `squares ds²`.
#[derive(Clone, Copy)]
pub struct SymmetricFit<V: Vector, const W: usize> {
    pub scale: Lanes<V, W>,
    squares: Lanes<V, W>,
}

/// A super-block as it will be stored: numbers are `scale * scales * values`.
pub struct SymmetricBlock<V: Vector, const W: usize> {
    /// In half precision.
    pub scale: f32,
    /// Whole numbers.
    pub scales: Lanes<V, W>,
}

/// Finds scales without regard to how they are stored.
///
/// Each start codes the numbers, solves for the scale of least squared error given the codes, and codes again with it.
#[inline(always)]
pub fn fit<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    starts: &[f32],
    refinements: usize,
) -> SymmetricFit<V, W> {
    let mut low = values[0];
    let mut high = values[0];
    for &value in values {
        low = value.min(low);
        high = value.max(high);
    }
    let outermost = high.if_less(low.negated(), low, high);
    let mut best_gain = Lanes::zero();
    let mut best = SymmetricFit { scale: Lanes::zero(), squares: Lanes::zero() };
    for &start in starts {
        let mut scale = outermost * Lanes::splat(1.0 / start);
        for _ in 0..=refinements {
            let inverse = scale.inverse();
            let mut squares = Lanes::zero();
            let mut products = Lanes::zero();
            for (index, &value) in values.iter().enumerate() {
                let level = L::nearest(value * inverse);
                let weighted = weights.times(index, level);
                squares = squares + weighted * level;
                products = products + weighted * value;
            }
            scale = products * squares.inverse();
            // how much lower the squared error is than with zeros
            let gain = scale * products;
            best.scale = best_gain.if_less(gain, scale, best.scale);
            best.squares = best_gain.if_less(gain, squares, best.squares);
            best_gain = gain.max(best_gain);
        }
    }
    best
}

/// Scales in half precision, each the best of the nearest and its neighbours.
#[inline(always)]
pub fn half_scales<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    fit: &SymmetricFit<V, W>,
) -> Lanes<V, W> {
    let nearest = fit.scale.map(halved);
    let mut best = nearest;
    let mut best_error = error_of::<L, V, W, LEN>(values, weights, nearest);
    for scale in [nearest.map(next_half), nearest.map(previous_half)] {
        let error = error_of::<L, V, W, LEN>(values, weights, scale);
        best = error.if_less(best_error, scale, best);
        best_error = error.min(best_error);
    }
    best
}

/// Finds all that a super-block stores but the codes.
///
/// Its scale is rounded first; whole-numbered scales are then chosen for the rounded one, by the error that is left in
/// the end.
#[inline(always)]
pub fn super_block<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    format: &SymmetricFormat,
) -> SymmetricBlock<V, W> {
    let fit = fit::<L, V, W, LEN>(values, weights, format.starts, format.refinements);
    let mut scale = super_scale(&fit, format);
    let mut best = SymmetricBlock { scale, scales: Lanes::zero() };
    let mut best_error = f32::INFINITY;
    for _ in 0..=format.rounds {
        let (block, error) = with_super_scale::<L, V, W, LEN>(values, weights, format, &fit, scale);
        if error < best_error {
            (best, best_error) = (block, error);
        }
        scale = refitted::<L, V, W, LEN>(values, weights, &best);
        if scale == best.scale {
            break;
        }
    }
    best
}

/// The super-block scale for which the best whole-numbered scales lose least, codes held fixed.
#[inline(always)]
fn super_scale<V: Vector, const W: usize>(fit: &SymmetricFit<V, W>, format: &SymmetricFormat) -> f32 {
    let low = fit.scale.negated().largest();
    let high = fit.scale.largest();
    let outermost = if high < low { -low } else { high };
    let mut best = 0.0;
    let mut best_growth = f32::INFINITY;
    for &divisor in format.divisors {
        let exact = outermost / divisor;
        let half = halved(exact);
        // a scale that is too large still stores something
        let half = if half == 0.0 && exact != 0.0 { next_half(half) } else { half };
        let error = nearest_sub(fit.scale, half, format) * Lanes::splat(half) - fit.scale;
        let growth = (error * error * fit.squares).sum();
        if growth < best_growth {
            (best, best_growth) = (half, growth);
        }
    }
    best
}

/// The whole-numbered scale nearest to each of `wanted`.
#[inline(always)]
fn nearest_sub<V: Vector, const W: usize>(
    wanted: Lanes<V, W>,
    unit: f32,
    format: &SymmetricFormat,
) -> Lanes<V, W> {
    (wanted * Lanes::splat(unit).inverse()).clamp(format.sub.0, format.sub.1).round()
}

/// The best block with this super-block scale, and its squared error.
#[inline(always)]
fn with_super_scale<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    format: &SymmetricFormat,
    fit: &SymmetricFit<V, W>,
    scale: f32,
) -> (SymmetricBlock<V, W>, f32) {
    let center = nearest_sub(fit.scale, scale, format);
    let mut best = center;
    let mut best_error = Lanes::splat(f32::INFINITY);
    for step in [0.0, -1.0, 1.0] {
        let scales = (center + Lanes::splat(step)).clamp(format.sub.0, format.sub.1);
        let error = error_of::<L, V, W, LEN>(values, weights, scales * Lanes::splat(scale));
        best = error.if_less(best_error, scales, best);
        best_error = error.min(best_error);
    }
    (SymmetricBlock { scale, scales: best }, best_error.sum())
}

/// The squared error of the nearest values.
#[inline(always)]
fn error_of<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    scale: Lanes<V, W>,
) -> Lanes<V, W> {
    let inverse = scale.inverse();
    let mut error = Lanes::zero();
    for (index, &value) in values.iter().enumerate() {
        let difference = scale * L::nearest(value * inverse) - value;
        error = error + weights.times(index, difference) * difference;
    }
    error
}

/// The super-block scale of least squared error for the codes of a block, in half precision.
#[inline(always)]
fn refitted<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    block: &SymmetricBlock<V, W>,
) -> f32 {
    let inverse = (block.scales * Lanes::splat(block.scale)).inverse();
    let mut squares = Lanes::zero();
    let mut products = Lanes::zero();
    for (index, &value) in values.iter().enumerate() {
        let level = L::nearest(value * inverse);
        let weighted = weights.times(index, level);
        squares = squares + weighted * level;
        products = products + weighted * value;
    }
    let squares = (block.scales * block.scales * squares).sum();
    let products = (block.scales * products).sum();
    if squares > 0.0 { halved(products / squares) } else { block.scale }
}

/// The codes of the sub-blocks, one after the other.
#[inline(always)]
pub fn codes<L: Levels, V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    scale: Lanes<V, W>,
) -> [u8; 256] {
    let inverse = scale.inverse();
    let mut codes = *values;
    for code in &mut codes {
        *code = L::code(*code * inverse);
    }
    in_order(&codes)
}
