//! What each type can store: its levels, and how scales and minima are kept.

use std::marker::PhantomData;

use secateur_model::TensorType;

use super::four::{Four, FourFactor, added, cost_of, costs, solved, subtracted};
use super::trial::{Eight, Line};
use crate::affine::{self, AffineFormat, AffineStart};
use crate::lanes::Lanes;
use crate::levels::{E2m1, IQ4_STARTS, Iq4, Levels};
use crate::symmetric::SymmetricFormat;
use crate::vector::Vector;
use crate::weighted_blocks::{FIVE_BIT_STARTS, FOUR_BIT_STARTS};
use crate::{iq3_s, k_affine, k_symmetric, patterns};

/// How the scale of a sub-block is kept.
#[derive(Clone, Copy)]
pub enum Scales {
    /// A half-precision number of its own.
    Half,
    /// A power of two of its own: one of 256.
    Power,
    /// A whole number out of a range, times the half-precision scale of the super-block.
    Whole(WholeScales),
}

/// Whole numbers from `low` to `high`, each `step` from the next.
#[derive(Clone, Copy)]
pub struct WholeScales {
    pub low: f32,
    pub high: f32,
    pub step: f32,
}

impl WholeScales {
    /// The one nearest to each of `wanted`.
    #[inline(always)]
    pub fn nearest<V: Vector>(self, wanted: Eight<V>) -> Eight<V> {
        let low = Lanes::splat(self.low);
        let steps = (wanted.clamp(self.low, self.high) - low) * Lanes::splat(1.0 / self.step);
        steps.round() * Lanes::splat(self.step) + low
    }
}

/// How the minimum of a sub-block is kept.
#[derive(Clone, Copy)]
pub enum Minima {
    /// There is none.
    None,
    /// A half-precision number of its own, added.
    Half,
    /// A whole number up to this one, times the half-precision minimum of the super-block, subtracted.
    Whole(f32),
}

/// Where a search for scales begins.
#[derive(Clone, Copy)]
pub enum Starts {
    /// Onto which level the number of largest magnitude falls.
    Outermost(&'static [f32]),
    /// The same, where scales have no sign.
    Magnitude(&'static [f32]),
    /// How many steps the range spans, and where it lies.
    Range(&'static [AffineStart]),
}

/// What codes stand for, before scaling.
pub trait LevelSet: Copy {
    /// The greatest level.
    fn highest(self) -> f32;
    /// The level nearest to each number, or one that is hardly farther.
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V>;
    /// The code of the level nearest to each number.
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V>;

    /// Levels for four neighbouring columns, and the error of each divided by its diagonal entry of the factor: each error is made good by
    /// the columns to its right.
    #[inline(always)]
    fn four<V: Vector>(self, values: [Eight<V>; 4], factor: &FourFactor, line: Line<V>) -> Four<V> {
        let inverse = line.scale.inverse();
        let mut four = Four { levels: [Lanes::zero(); 4], errors: [Lanes::zero(); 4] };
        for column in 0..4 {
            let mut value = values[column];
            for earlier in 0..column {
                value = value - four.errors[earlier] * Lanes::splat(factor.below[column][earlier]);
            }
            let level = self.nearest((value - line.offset) * inverse);
            let stored = level * line.scale + line.offset;
            four.levels[column] = level;
            four.errors[column] = (value - stored) * Lanes::splat(factor.inverse_diagonal[column]);
        }
        four
    }

    /// Better levels for four neighbouring columns, if there are any: `slope` is what is gained, at first, by making each larger, and `hessian` what
    /// their errors cost.
    #[inline(always)]
    fn better_four<V: Vector>(
        self,
        levels: [Eight<V>; 4],
        slope: [Eight<V>; 4],
        hessian: &[[f32; 4]; 4],
        scale: Eight<V>,
    ) -> [Eight<V>; 4] {
        let inverse = scale.inverse();
        let (mut better, mut changes) = (levels, [Lanes::zero(); 4]);
        for column in 0..4 {
            let row = &hessian[column];
            let mut here = slope[column];
            for (&change, &entry) in changes[..column].iter().zip(row) {
                here = here - change * Lanes::splat(entry);
            }
            let level = levels[column];
            let best = here * Lanes::splat(1.0 / row[column]) * inverse + level;
            let nearest = self.nearest(best);
            // a level that is no nearer than the present one, as after a change of scale, is not taken
            let (before, after) = (level - best, nearest - best);
            let gains = after * after - before * before;
            better[column] = gains.if_less(Lanes::zero(), nearest, level);
            changes[column] = better[column] * scale - level * scale;
        }
        better
    }
}

/// Whole numbers in a range.
#[derive(Clone, Copy)]
pub struct Steps {
    low: f32,
    high: f32,
}

/// Levels that rounding to nearest has, too.
#[derive(Clone, Copy)]
pub struct Single<L>(PhantomData<L>);

/// The patterns of four odd magnitudes of IQ3_S, each number with its sign.
#[derive(Clone, Copy)]
pub struct PatternLevels;

impl LevelSet for Steps {
    #[inline(always)]
    fn highest(self) -> f32 {
        self.high
    }

    #[inline(always)]
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        scaled.clamp(self.low, self.high).round()
    }

    #[inline(always)]
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        self.nearest(scaled) - Lanes::splat(self.low)
    }
}

impl<L: Levels + Copy> LevelSet for Single<L> {
    #[inline(always)]
    fn highest(self) -> f32 {
        L::HIGHEST
    }

    #[inline(always)]
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        L::nearest(scaled)
    }

    #[inline(always)]
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        L::code(scaled)
    }
}

impl LevelSet for PatternLevels {
    #[inline(always)]
    fn highest(self) -> f32 {
        15.0
    }

    /// As if every four magnitudes were a pattern.
    #[inline(always)]
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        scaled.map(|value| {
            let magnitude = 2.0 * ((value.abs() - 1.0) / 2.0).round_ties_even().clamp(0.0, 7.0) + 1.0;
            magnitude.copysign(value)
        })
    }

    #[inline(always)]
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        scaled.map(|level| f32::from(iq3_s::code(level)))
    }

    #[inline(always)]
    fn four<V: Vector>(self, values: [Eight<V>; 4], factor: &FourFactor, line: Line<V>) -> Four<V> {
        let inverse = line.scale.inverse();
        let levels = patterns_of(values.map(|value| value * inverse), &factor.cost());
        let mut errors = [Lanes::zero(); 4];
        for column in 0..4 {
            let mut value = values[column];
            for earlier in 0..column {
                value = value - errors[earlier] * Lanes::splat(factor.below[column][earlier]);
            }
            errors[column] =
                (value - levels[column] * line.scale) * Lanes::splat(factor.inverse_diagonal[column]);
        }
        Four { levels, errors }
    }

    #[inline(always)]
    fn better_four<V: Vector>(
        self,
        levels: [Eight<V>; 4],
        slope: [Eight<V>; 4],
        hessian: &[[f32; 4]; 4],
        scale: Eight<V>,
    ) -> [Eight<V>; 4] {
        let cost = cost_of(hessian);
        let inverse = scale.inverse();
        let wanted = added(levels, solved(&cost, slope).map(|step| step * inverse));
        let found = patterns_of(wanted, &cost);
        let gains = costs(&cost, subtracted(found, wanted)) - costs(&cost, subtracted(levels, wanted));
        std::array::from_fn(|column| gains.if_less(Lanes::zero(), found[column], levels[column]))
    }
}

/// In each row, the patterns that cost least in place of four numbers.
#[inline(always)]
fn patterns_of<V: Vector>(wanted: [Eight<V>; 4], cost: &patterns::Cost) -> [Eight<V>; 4] {
    let [a, b, c, d] = wanted;
    let found = patterns::nearest_of_eight(&[a.store()[0], b.store()[0], c.store()[0], d.store()[0]], cost);
    let [a, b, c, d] = found;
    [Lanes::load(&[a]), Lanes::load(&[b]), Lanes::load(&[c]), Lanes::load(&[d])]
}

/// What a storage type can store.
#[derive(Clone, Copy)]
pub struct Grid<L> {
    /// What codes stand for.
    pub levels: L,
    /// Sub-blocks in a block.
    pub subs: usize,
    pub scales: Scales,
    pub minima: Minima,
    pub starts: Starts,
    /// What the largest whole scale may stand for: itself, or with minima, what is added to the largest.
    pub divisors: &'static [f32],
}

/// The grid of a type, by what its kernels must be compiled for.
#[derive(Clone, Copy)]
pub enum AnyGrid {
    /// Sub-blocks of 32.
    Steps32(Grid<Steps>),
    /// Sub-blocks of 16.
    Steps16(Grid<Steps>),
    /// Sub-blocks of 32.
    Iq4(Grid<Single<Iq4>>),
    /// Sub-blocks of 32.
    E2m1(Grid<Single<E2m1>>),
    /// Sub-blocks of 32.
    Patterns(Grid<PatternLevels>),
}

const EIGHT_BIT_STARTS: [f32; 6] = [-127.0, -126.0, -124.0, 124.0, 126.0, 127.0];

/// The outermost number of a block of E2M1 is a power of two away from these.
const E2M1_STARTS: [f32; 4] = [4.0, 6.0, 8.0, 12.0];

impl AnyGrid {
    /// `None` for types that store each number on its own, or that are not known here.
    pub fn of(tensor_type: TensorType) -> Option<Self> {
        Some(match tensor_type {
            TensorType::Q8_0 => Self::Steps32(plain(-127.0, 127.0, Starts::Outermost(&EIGHT_BIT_STARTS))),
            TensorType::Q5_0 => Self::Steps32(plain(-16.0, 15.0, Starts::Outermost(&FIVE_BIT_STARTS))),
            TensorType::Q4_0 => Self::Steps32(plain(-8.0, 7.0, Starts::Outermost(&FOUR_BIT_STARTS))),
            TensorType::Q5_1 => Self::Steps32(with_minima(31.0, &affine::FIVE_BIT_STARTS)),
            TensorType::Q4_1 => Self::Steps32(with_minima(15.0, &affine::FOUR_BIT_STARTS)),
            TensorType::Q5_K => Self::Steps32(super_affine(31.0, 8, &k_affine::Q5_K)),
            TensorType::Q4_K => Self::Steps32(super_affine(15.0, 8, &k_affine::Q4_K)),
            TensorType::Q2_K => Self::Steps16(super_affine(3.0, 16, &k_affine::Q2_K)),
            TensorType::Q6_K => {
                Self::Steps16(super_symmetric(Steps { low: -32.0, high: 31.0 }, 16, &k_symmetric::Q6_K))
            }
            TensorType::Q3_K => {
                Self::Steps16(super_symmetric(Steps { low: -4.0, high: 3.0 }, 16, &k_symmetric::Q3_K))
            }
            TensorType::IQ4_XS => {
                Self::Iq4(super_symmetric(Single::<Iq4>(PhantomData), 8, &k_symmetric::IQ4_XS))
            }
            TensorType::IQ4_NL => Self::Iq4(Grid {
                levels: Single(PhantomData),
                subs: 1,
                scales: Scales::Half,
                minima: Minima::None,
                starts: Starts::Outermost(&IQ4_STARTS),
                divisors: &[],
            }),
            TensorType::MXFP4 => Self::E2m1(Grid {
                levels: Single(PhantomData),
                subs: 1,
                scales: Scales::Power,
                minima: Minima::None,
                starts: Starts::Outermost(&E2M1_STARTS),
                divisors: &[],
            }),
            TensorType::IQ3_S => Self::Patterns(Grid {
                levels: PatternLevels,
                subs: 8,
                scales: Scales::Whole(WholeScales { low: 1.0, high: 31.0, step: 2.0 }),
                minima: Minima::None,
                starts: Starts::Magnitude(&iq3_s::STARTS),
                divisors: &iq3_s::DIVISORS,
            }),
            _ => return None,
        })
    }
}

fn whole_scales(low: f32, high: f32) -> Scales {
    Scales::Whole(WholeScales { low, high, step: 1.0 })
}

fn plain(low: f32, high: f32, starts: Starts) -> Grid<Steps> {
    let levels = Steps { low, high };
    Grid { levels, subs: 1, scales: Scales::Half, minima: Minima::None, starts, divisors: &[] }
}

fn with_minima(high: f32, starts: &'static [AffineStart]) -> Grid<Steps> {
    Grid { minima: Minima::Half, ..plain(0.0, high, Starts::Range(starts)) }
}

fn super_affine(high: f32, subs: usize, format: &AffineFormat) -> Grid<Steps> {
    Grid {
        levels: Steps { low: 0.0, high },
        subs,
        scales: whole_scales(0.0, format.max_sub),
        minima: Minima::Whole(format.max_sub),
        starts: Starts::Range(format.starts),
        divisors: format.divisors,
    }
}

fn super_symmetric<L>(levels: L, subs: usize, format: &SymmetricFormat) -> Grid<L> {
    Grid {
        levels,
        subs,
        scales: whole_scales(format.sub.0, format.sub.1),
        minima: Minima::None,
        starts: Starts::Outermost(format.starts),
        divisors: format.divisors,
    }
}
