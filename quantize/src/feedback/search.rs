//! Scales and minima of a block, chosen by what rounding with them loses.

use super::grid::{Grid, LevelSet, Minima, Scales, Starts, WholeScales};
use super::trial::{Best, Eight, Line, LocalFactor};
use crate::lanes::{Lanes, halved, next_half};
use crate::vector::Vector;

/// Relative steps around the best start, before the scale is stored.
const REFINEMENTS: [f32; 6] = [0.94, 0.97, 0.985, 1.015, 1.03, 1.06];

/// The smallest power of two that is stored as an exponent.
const LEAST_POWER: f32 = f32::MIN_POSITIVE;

/// What a super-block multiplies the whole numbers of its sub-blocks by, in each row.
#[derive(Clone, Copy)]
pub struct Units<V> {
    pub scale: Eight<V>,
    pub minimum: Eight<V>,
}

/// The line that loses least: as it would be stored, or, if it is a part of a super-block, as if anything could be. `values` is `[LEN]`.
#[inline(always)]
pub fn best_line<L: LevelSet, V: Vector, const LEN: usize>(
    grid: &Grid<L>,
    values: &[Eight<V>],
    factor: &LocalFactor<LEN>,
) -> Line<V> {
    let mut best = Best::none();
    let mut candidates = starts(grid, &values[..LEN]);
    for _ in 0..2 {
        for &line in candidates.as_slice() {
            best.consider(grid.levels, values, factor, storable(grid, line));
        }
        candidates = refinements(grid, best.line);
    }
    best.line
}

/// The weighted sum of squares of the levels that a line leads to.
#[inline(always)]
pub fn squares<L: LevelSet, V: Vector, const LEN: usize>(
    grid: &Grid<L>,
    values: &[Eight<V>],
    factor: &LocalFactor<LEN>,
    line: Line<V>,
) -> Eight<V> {
    let inverse = line.scale.inverse();
    let mut squares = Lanes::zero();
    for (&value, &weight) in values.iter().zip(&factor.inverse_diagonal) {
        let weighted = grid.levels.nearest((value - line.offset) * inverse) * Lanes::splat(weight);
        squares = squares + weighted * weighted;
    }
    squares
}

/// What the whole numbers of a super-block are multiplied by, so that the lines of its sub-blocks change least.
#[inline(always)]
pub fn units<L: LevelSet, V: Vector>(grid: &Grid<L>, lines: &[Line<V>], squares: &[Eight<V>]) -> Units<V> {
    let Scales::Whole(whole) = grid.scales else {
        return Units { scale: Lanes::zero(), minimum: Lanes::zero() };
    };
    let scales = lines.iter().map(|line| line.scale);
    match grid.minima {
        Minima::Whole(highest) => {
            let largest = scales.fold(Lanes::zero(), |largest, scale| scale.max(largest));
            let deepest =
                lines.iter().fold(Lanes::zero(), |deepest, line| line.offset.negated().max(deepest));
            let unit = |largest: Eight<V>, high: f32| (largest * Lanes::splat(1.0 / high)).map(halved_up);
            let mut best = (Lanes::splat(f32::INFINITY), Lanes::zero());
            for &divisor in grid.divisors {
                let scale = unit(largest, whole.high + divisor);
                keep_better(&mut best, growth(lines, squares, scale, whole), scale);
            }
            Units { scale: best.1, minimum: unit(deepest, highest) }
        }
        Minima::None | Minima::Half => {
            let (mut least, mut most) = (Lanes::zero(), Lanes::zero());
            for line in lines {
                least = line.scale.min(least);
                most = line.scale.max(most);
            }
            let outermost = most.if_less(least.negated(), least, most);
            let mut best = (Lanes::splat(f32::INFINITY), Lanes::zero());
            for &divisor in grid.divisors {
                let scale = (outermost * Lanes::splat(1.0 / divisor)).map(halved_away);
                keep_better(&mut best, growth(lines, squares, scale, whole), scale);
            }
            Units { scale: best.1, minimum: Lanes::zero() }
        }
    }
}

#[inline(always)]
fn keep_better<V: Vector>(best: &mut (Eight<V>, Eight<V>), growth: Eight<V>, scale: Eight<V>) {
    best.1 = growth.if_less(best.0, scale, best.1);
    best.0 = growth.if_less(best.0, growth, best.0);
}

/// How much more is lost with whole multiples of `unit` than with the scales of `lines`, levels held fixed.
#[inline(always)]
fn growth<V: Vector>(
    lines: &[Line<V>],
    squares: &[Eight<V>],
    unit: Eight<V>,
    whole: WholeScales,
) -> Eight<V> {
    let inverse = unit.inverse();
    let mut growth = Lanes::zero();
    for (line, &squares) in lines.iter().zip(squares) {
        let change = whole.nearest(line.scale * inverse) * unit - line.scale;
        growth = growth + change * change * squares;
    }
    growth
}

/// Whole scale and minimum of a sub-block, in each row.
#[derive(Clone, Copy)]
pub struct Whole<V> {
    pub scale: Eight<V>,
    pub minimum: Eight<V>,
}

/// The whole scale and minimum that lose least, near a line that was free; `values` is `[LEN]`.
#[inline(always)]
pub fn whole_line<L: LevelSet, V: Vector, const LEN: usize>(
    grid: &Grid<L>,
    values: &[Eight<V>],
    factor: &LocalFactor<LEN>,
    units: Units<V>,
    near: Line<V>,
) -> Whole<V> {
    let zero = Whole { scale: Lanes::zero(), minimum: Lanes::zero() };
    let Scales::Whole(scales) = grid.scales else { return zero };
    let minimum_steps: &[f32] =
        if matches!(grid.minima, Minima::Whole(_)) { &[0.0, -1.0, 1.0] } else { &[0.0] };
    let center = scales.nearest(near.scale * units.scale.inverse());
    let mut best = Best::<V>::none();
    let mut chosen = zero;
    for step in [0.0, -1.0, 1.0, -2.0, 2.0] {
        let scale = (center + Lanes::splat(step * scales.step)).clamp(scales.low, scales.high);
        // the middle of the range stays where it was
        let moved = (near.scale - scale * units.scale) * Lanes::splat(grid.levels.highest() / 2.0);
        let wanted = (near.offset + moved).negated() * units.minimum.inverse();
        for &step in minimum_steps {
            let minimum = match grid.minima {
                Minima::Whole(highest) => {
                    (wanted.clamp(0.0, highest).round() + Lanes::splat(step)).clamp(0.0, highest)
                }
                Minima::None | Minima::Half => Lanes::zero(),
            };
            let before = best.loss;
            best.consider(grid.levels, values, factor, line_of(Whole { scale, minimum }, units));
            chosen.scale = best.loss.if_less(before, scale, chosen.scale);
            chosen.minimum = best.loss.if_less(before, minimum, chosen.minimum);
        }
    }
    chosen
}

/// The line that whole numbers stand for.
#[inline(always)]
pub fn line_of<V: Vector>(whole: Whole<V>, units: Units<V>) -> Line<V> {
    Line { scale: units.scale * whole.scale, offset: (units.minimum * whole.minimum).negated() }
}

/// Lines to try.
struct Candidates<V> {
    lines: [Line<V>; MOST_CANDIDATES],
    count: usize,
}

/// As many as the longest list of starts.
const MOST_CANDIDATES: usize = 33;

impl<V: Vector> Candidates<V> {
    #[inline(always)]
    fn none() -> Self {
        let zero = Line { scale: Lanes::zero(), offset: Lanes::zero() };
        Self { lines: [zero; MOST_CANDIDATES], count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, scale: Eight<V>, offset: Eight<V>) {
        self.lines[self.count] = Line { scale, offset };
        self.count += 1;
    }

    #[inline(always)]
    fn as_slice(&self) -> &[Line<V>] {
        &self.lines[..self.count]
    }
}

#[inline(always)]
fn starts<L: LevelSet, V: Vector>(grid: &Grid<L>, values: &[Eight<V>]) -> Candidates<V> {
    let mut candidates = Candidates::none();
    let (mut low, mut high) = (values[0], values[0]);
    for &value in values {
        low = value.min(low);
        high = value.max(high);
    }
    match grid.starts {
        Starts::Outermost(starts) => {
            let outermost = high.if_less(low.negated(), low, high);
            for &start in starts {
                candidates.push(outermost * Lanes::splat(1.0 / start), Lanes::zero());
            }
        }
        Starts::Magnitude(starts) => {
            let largest = high.max(low.negated());
            for &start in starts {
                candidates.push(largest * Lanes::splat(1.0 / start), Lanes::zero());
            }
        }
        Starts::Range(starts) => {
            if matches!(grid.minima, Minima::Whole(_)) {
                low = low.min(Lanes::zero());
            }
            let range = high - low;
            for start in starts {
                let scale = range * Lanes::splat(1.0 / start.steps);
                let left = range - scale * Lanes::splat(grid.levels.highest());
                let offset = low + left * Lanes::splat(start.place);
                candidates.push(scale, offset.min(highest_offset(grid)));
            }
        }
    }
    candidates
}

/// Minima of super-blocks are not positive.
#[inline(always)]
fn highest_offset<L: LevelSet, V: Vector>(grid: &Grid<L>) -> Eight<V> {
    Lanes::splat(if matches!(grid.minima, Minima::Whole(_)) { 0.0 } else { f32::INFINITY })
}

/// Lines a little wider and narrower, around the same middle.
#[inline(always)]
fn refinements<L: LevelSet, V: Vector>(grid: &Grid<L>, line: Line<V>) -> Candidates<V> {
    let mut candidates = Candidates::none();
    for factor in REFINEMENTS {
        let scale = line.scale * Lanes::splat(factor);
        let offset = match grid.starts {
            Starts::Outermost(_) | Starts::Magnitude(_) => line.offset,
            Starts::Range(_) => {
                line.offset + (line.scale - scale) * Lanes::splat(grid.levels.highest() / 2.0)
            }
        };
        candidates.push(scale, offset.min(highest_offset(grid)));
    }
    candidates
}

/// What is stored of a line: all of it, as long as it is not known what a super-block will multiply.
#[inline(always)]
fn storable<L: LevelSet, V: Vector>(grid: &Grid<L>, line: Line<V>) -> Line<V> {
    let scale = match grid.scales {
        Scales::Power => line.scale.map(power),
        Scales::Half => line.scale.map(halved),
        Scales::Whole(..) => line.scale,
    };
    let offset = if matches!(grid.minima, Minima::Half) { line.offset.map(halved) } else { line.offset };
    Line { scale, offset }
}

/// The largest power of two that is not greater.
#[inline(always)]
fn power(value: f32) -> f32 {
    f32::from_bits(value.abs().max(LEAST_POWER).to_bits() & 0x7f80_0000)
}

/// Half precision, but not zero for what is not: a scale that is too large still stores something.
#[inline(always)]
fn halved_up(value: f32) -> f32 {
    let half = halved(value);
    if half == 0.0 && value > 0.0 { next_half(half) } else { half }
}

/// The same for either sign.
#[inline(always)]
fn halved_away(value: f32) -> f32 {
    if value < 0.0 { -halved_up(-value) } else { halved_up(value) }
}
