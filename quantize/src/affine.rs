//! Sub-blocks stored as `scale * code + minimum`, codes from 0 up: the search for scales and minima.

use super::lanes::{Grid, Lanes, halved, next_half};
use super::vector::Vector;
use super::weights::Weights;

/// What a type can store, and how thoroughly to search.
pub struct AffineFormat {
    /// The largest code of a number.
    pub max_code: f32,
    /// The largest code of a scale or a minimum.
    pub max_sub: f32,
    /// Where the search starts.
    pub starts: &'static [AffineStart],
    /// Times that each start is coded again with its best scale and minimum.
    pub refinements: usize,
    /// What the largest scale and the largest minimum may be divided by to become the scales of the super-block,
    /// relative to `max_sub`.
    pub divisors: &'static [f32],
    /// Times that the scales of the super-block are fitted anew to the codes.
    pub rounds: usize,
}

/// A first guess of scale and minimum, from the range of a sub-block.
pub struct AffineStart {
    /// Steps between codes that the range is taken to span; more than there are leave the ends of the range out.
    pub steps: f32,
    /// Where the codes lie when they span more or less than the range: 0 as low as can be, 1 as high.
    pub place: f32,
}

/// For tables of starts.
pub const fn start(steps: f32, place: f32) -> AffineStart {
    AffineStart { steps, place }
}

/// Starts for codes up to 15.
pub const FOUR_BIT_STARTS: [AffineStart; 7] = [
    start(15.0, 0.0),
    start(14.0, 0.0),
    start(16.0, 0.0),
    start(16.0, 1.0),
    start(16.0, 0.5),
    start(17.0, 0.5),
    start(18.0, 0.5),
];

/// Starts for codes up to 31.
pub const FIVE_BIT_STARTS: [AffineStart; 10] = [
    start(31.0, 0.0),
    start(30.0, 0.0),
    start(30.5, 0.0),
    start(30.5, 1.0),
    start(31.5, 0.0),
    start(31.5, 1.0),
    start(32.0, 0.5),
    start(32.0, 0.0),
    start(32.0, 1.0),
    start(33.0, 0.5),
];

/// Scale and minimum of every sub-block, and how the squared error grows around them while the codes stay:
/// by `squares ds² + 2 codes ds dm + weights dm²`.
#[derive(Clone, Copy)]
pub struct AffineFit<V: Vector, const W: usize> {
    pub scale: Lanes<V, W>,
    pub minimum: Lanes<V, W>,
    /// Weighted sum of squared codes.
    squares: Lanes<V, W>,
    /// Weighted sum of codes.
    codes: Lanes<V, W>,
    /// Sum of weights.
    weights: Lanes<V, W>,
}

/// A super-block as it will be stored: numbers are `scale * scales * codes - minimum * minima`.
pub struct AffineBlock<V: Vector, const W: usize, const LEN: usize> {
    /// In half precision.
    pub scale: f32,
    /// In half precision.
    pub minimum: f32,
    /// Whole numbers.
    pub scales: Lanes<V, W>,
    /// Whole numbers.
    pub minima: Lanes<V, W>,
    /// Whole numbers.
    pub codes: Grid<V, W, LEN>,
}

impl<V: Vector, const W: usize> AffineFit<V, W> {
    /// The minima of least squared error for scales that are not the best ones, codes held fixed.
    #[inline(always)]
    pub fn minimum_for(&self, scales: Lanes<V, W>) -> Lanes<V, W> {
        self.minimum - (scales - self.scale) * self.codes * self.weights.inverse()
    }
}

/// Finds scales and minima without regard to how they are stored.
///
/// Each start codes the numbers, solves for the scale and minimum of least squared error given the codes, and codes
/// again with these. `highest_minimum` is 0 where positive minima cannot be stored, else infinite.
#[inline(always)]
pub fn fit<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    max_code: f32,
    starts: &[AffineStart],
    refinements: usize,
    highest_minimum: f32,
) -> AffineFit<V, W> {
    /// How much a later start must gain over an earlier one. Codes that are all one higher, with a lower minimum, are
    /// as good; but only the lowest ones give back the scales of numbers that have been through this format before.
    const BEYOND_ROUNDING: f32 = 1.0 + 1e-5;

    let mut low = values[0];
    let mut high = values[0];
    for &value in values {
        low = value.min(low);
        high = value.max(high);
    }
    low = low.min(Lanes::splat(highest_minimum));
    // measured from the lower end of the range, sums of squares keep their precision
    let mut total = Lanes::zero();
    let mut total_weight = Lanes::zero();
    for (index, &value) in values.iter().enumerate() {
        total = total + weights.times(index, value - low);
        total_weight = total_weight + weights.times(index, Lanes::splat(1.0));
    }
    let highest = Lanes::splat(highest_minimum) - low;
    let range = high - low;

    let mut best_gain = Lanes::zero();
    let mut best = AffineFit {
        scale: Lanes::zero(),
        minimum: low,
        squares: Lanes::zero(),
        codes: Lanes::zero(),
        weights: total_weight,
    };
    for start in starts {
        let mut scale = range * Lanes::splat(1.0 / start.steps);
        let mut minimum = range * Lanes::splat((1.0 - max_code / start.steps) * start.place);
        for _ in 0..=refinements {
            let inverse = scale.inverse();
            let mut codes = Lanes::zero();
            let mut squares = Lanes::zero();
            let mut products = Lanes::zero();
            for (index, &value) in values.iter().enumerate() {
                let value = value - low;
                let code = ((value - minimum) * inverse).clamp(0.0, max_code).round();
                let weighted = weights.times(index, code);
                codes = codes + weighted;
                squares = squares + weighted * code;
                products = products + weighted * value;
            }
            let inverse = (total_weight * squares - codes * codes).inverse();
            scale = (total_weight * products - total * codes) * inverse;
            minimum = (squares * total - codes * products) * inverse;
            scale = highest.if_less(minimum, (products - highest * codes) * squares.inverse(), scale);
            minimum = minimum.min(highest);
            // how much lower the squared error is than with zeros
            let twice = Lanes::splat(2.0);
            let gain = scale * (twice * (products - minimum * codes) - scale * squares)
                + minimum * (twice * total - minimum * total_weight);
            let to_beat = best_gain * Lanes::splat(BEYOND_ROUNDING);
            best.scale = to_beat.if_less(gain, scale, best.scale);
            best.minimum = to_beat.if_less(gain, low + minimum, best.minimum);
            best.squares = to_beat.if_less(gain, squares, best.squares);
            best.codes = to_beat.if_less(gain, codes, best.codes);
            best_gain = to_beat.if_less(gain, gain, best_gain);
        }
    }
    best
}

/// Finds all that a super-block stores.
///
/// Its two scales are rounded first; whole-numbered scales, minima and codes are then chosen for the rounded ones, by
/// the error that is left in the end.
#[inline(always)]
pub fn super_block<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    format: &AffineFormat,
) -> AffineBlock<V, W, LEN> {
    let fit = fit(values, weights, format.max_code, format.starts, format.refinements, 0.0);
    let (mut scale, mut minimum) = super_scales(&fit, format);
    let mut best = AffineBlock {
        scale,
        minimum,
        scales: Lanes::zero(),
        minima: Lanes::zero(),
        codes: [Lanes::zero(); LEN],
    };
    let mut best_error = f32::INFINITY;
    for _ in 0..=format.rounds {
        let (block, error) = with_super_scales(values, weights, format, &fit, scale, minimum);
        if error < best_error {
            (best, best_error) = (block, error);
        }
        (scale, minimum) = refitted(values, weights, &best);
        if scale == best.scale && minimum == best.minimum {
            break;
        }
    }
    best
}

/// The pair of super-block scales for which the best whole-numbered scales and minima lose least, codes held fixed.
#[inline(always)]
fn super_scales<V: Vector, const W: usize>(fit: &AffineFit<V, W>, format: &AffineFormat) -> (f32, f32) {
    let largest_scale = fit.scale.largest();
    let largest_minimum = fit.minimum.negated().largest();
    let mut best = (0.0, 0.0);
    let mut best_growth = f32::INFINITY;
    for &scale_divisor in format.divisors {
        let scale = halved_up(largest_scale / (format.max_sub + scale_divisor));
        for &minimum_divisor in format.divisors {
            let minimum = halved_up(largest_minimum / (format.max_sub + minimum_divisor));
            let scales = nearest_sub(fit.scale, scale, format.max_sub);
            let minima = best_minima(fit, scales * Lanes::splat(scale), minimum, format.max_sub);
            let scale_error = scales * Lanes::splat(scale) - fit.scale;
            let minimum_error = (minima * Lanes::splat(minimum)).negated() - fit.minimum;
            let growth = scale_error * (fit.squares * scale_error + fit.codes * minimum_error)
                + minimum_error * (fit.codes * scale_error + fit.weights * minimum_error);
            let growth = growth.sum();
            if growth < best_growth {
                (best, best_growth) = ((scale, minimum), growth);
            }
        }
    }
    best
}

/// Half precision, but not zero for what is not: a scale that is too large still stores something.
#[inline(always)]
fn halved_up(value: f32) -> f32 {
    let half = halved(value);
    if half == 0.0 && value > 0.0 { next_half(half) } else { half }
}

/// The whole-numbered scale nearest to each of `wanted`.
#[inline(always)]
fn nearest_sub<V: Vector, const W: usize>(wanted: Lanes<V, W>, unit: f32, max: f32) -> Lanes<V, W> {
    (wanted * Lanes::splat(unit).inverse()).clamp(0.0, max).round()
}

/// The whole-numbered minima that fit best to given scales.
#[inline(always)]
fn best_minima<V: Vector, const W: usize>(
    fit: &AffineFit<V, W>,
    scales: Lanes<V, W>,
    unit: f32,
    max: f32,
) -> Lanes<V, W> {
    nearest_sub(fit.minimum_for(scales).negated(), unit, max)
}

/// The best block with these super-block scales, and its squared error.
#[inline(always)]
fn with_super_scales<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    format: &AffineFormat,
    fit: &AffineFit<V, W>,
    scale: f32,
    minimum: f32,
) -> (AffineBlock<V, W, LEN>, f32) {
    let center = nearest_sub(fit.scale, scale, format.max_sub);
    let mut best_scales = center;
    let mut best_minima_found = Lanes::zero();
    let mut best_error = Lanes::splat(f32::INFINITY);
    for step in [0.0, -1.0, 1.0] {
        let scales = (center + Lanes::splat(step)).clamp(0.0, format.max_sub);
        let minima_center = best_minima(fit, scales * Lanes::splat(scale), minimum, format.max_sub);
        for step in [0.0, -1.0, 1.0] {
            let minima = (minima_center + Lanes::splat(step)).clamp(0.0, format.max_sub);
            let error = error_of(
                values,
                weights,
                format,
                scales * Lanes::splat(scale),
                minima * Lanes::splat(minimum),
            );
            best_scales = error.if_less(best_error, scales, best_scales);
            best_minima_found = error.if_less(best_error, minima, best_minima_found);
            best_error = error.min(best_error);
        }
    }
    let codes = codes_of(
        values,
        best_scales * Lanes::splat(scale),
        best_minima_found * Lanes::splat(minimum),
        format.max_code,
    );
    (AffineBlock { scale, minimum, scales: best_scales, minima: best_minima_found, codes }, best_error.sum())
}

/// The codes nearest to the numbers.
#[inline(always)]
pub fn codes_of<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    scale: Lanes<V, W>,
    negative_minimum: Lanes<V, W>,
    max_code: f32,
) -> Grid<V, W, LEN> {
    let inverse = scale.inverse();
    let mut codes = *values;
    for code in &mut codes {
        *code = ((*code + negative_minimum) * inverse).clamp(0.0, max_code).round();
    }
    codes
}

/// The squared error of the nearest codes.
#[inline(always)]
fn error_of<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    format: &AffineFormat,
    scale: Lanes<V, W>,
    negative_minimum: Lanes<V, W>,
) -> Lanes<V, W> {
    let inverse = scale.inverse();
    let mut error = Lanes::zero();
    for (index, &value) in values.iter().enumerate() {
        let shifted = value + negative_minimum;
        let code = (shifted * inverse).clamp(0.0, format.max_code).round();
        let difference = scale * code - shifted;
        error = error + weights.times(index, difference) * difference;
    }
    error
}

/// The super-block scales of least squared error for the codes of a block, in half precision.
#[inline(always)]
fn refitted<V: Vector, const W: usize, const LEN: usize>(
    values: &Grid<V, W, LEN>,
    weights: &impl Weights<V, W>,
    block: &AffineBlock<V, W, LEN>,
) -> (f32, f32) {
    let mut codes = Lanes::zero();
    let mut squares = Lanes::zero();
    let mut products = Lanes::zero();
    let mut total = Lanes::zero();
    let mut total_weight = Lanes::zero();
    for (index, (&value, &code)) in values.iter().zip(&block.codes).enumerate() {
        let weighted = weights.times(index, code);
        codes = codes + weighted;
        squares = squares + weighted * code;
        products = products + weighted * value;
        total = total + weights.times(index, value);
        total_weight = total_weight + weights.times(index, Lanes::splat(1.0));
    }
    let (scales, minima) = (block.scales, block.minima);
    let squares = (scales * scales * squares).sum();
    let mixed = (scales * minima * codes).sum();
    let weight = (minima * minima * total_weight).sum();
    let products = (scales * products).sum();
    let total = (minima * total).sum();
    let determinant = squares * weight - mixed * mixed;
    if determinant <= 0.0 {
        // no minima: only the scale is free
        let scale =
            if squares > 0.0 { halved((products + block.minimum * mixed) / squares) } else { block.scale };
        return (scale, block.minimum);
    }
    let scale = (products * weight - total * mixed) / determinant;
    let minimum = (products * mixed - total * squares) / determinant;
    (halved(scale.max(0.0)), halved(minimum.max(0.0)))
}
