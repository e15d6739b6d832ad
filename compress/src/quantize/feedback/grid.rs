//! What each type can store: its levels, and how scales and minima are kept.

use secateur_model::TensorType;

use super::trial::Eight;
use crate::quantize::affine::{self, AffineFormat, AffineStart};
use crate::quantize::lanes::Lanes;
use crate::quantize::levels::{E2m1, IQ4_STARTS, Iq4, Levels};
use crate::quantize::symmetric::SymmetricFormat;
use crate::quantize::vector::Vector;
use crate::quantize::weighted_blocks::{FIVE_BIT_STARTS, FOUR_BIT_STARTS};
use crate::quantize::{k_affine, k_symmetric};

/// How the scale of a sub-block is kept.
#[derive(Clone, Copy)]
pub enum Scales {
    /// A half-precision number of its own.
    Half,
    /// A power of two of its own: one of 256.
    Power,
    /// A whole number in this range, times the half-precision scale of the super-block.
    Whole(f32, f32),
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
}

/// Whole numbers in a range.
#[derive(Clone, Copy)]
pub struct Steps {
    low: f32,
    high: f32,
}

/// The uneven levels of IQ4_NL and IQ4_XS.
#[derive(Clone, Copy)]
pub struct Iq4Levels;

/// Twice the values of the four-bit float E2M1.
#[derive(Clone, Copy)]
pub struct E2m1Levels;

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

impl LevelSet for Iq4Levels {
    #[inline(always)]
    fn highest(self) -> f32 {
        Iq4::HIGHEST
    }

    #[inline(always)]
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        Iq4::nearest(scaled)
    }

    #[inline(always)]
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        Iq4::code(scaled)
    }
}

impl LevelSet for E2m1Levels {
    #[inline(always)]
    fn highest(self) -> f32 {
        E2m1::HIGHEST
    }

    #[inline(always)]
    fn nearest<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        E2m1::nearest(scaled)
    }

    #[inline(always)]
    fn code<V: Vector>(self, scaled: Eight<V>) -> Eight<V> {
        E2m1::code(scaled)
    }
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
    Iq4(Grid<Iq4Levels>),
    /// Sub-blocks of 32.
    E2m1(Grid<E2m1Levels>),
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
            TensorType::IQ4_XS => Self::Iq4(super_symmetric(Iq4Levels, 8, &k_symmetric::IQ4_XS)),
            TensorType::IQ4_NL => Self::Iq4(Grid {
                levels: Iq4Levels,
                subs: 1,
                scales: Scales::Half,
                minima: Minima::None,
                starts: Starts::Outermost(&IQ4_STARTS),
                divisors: &[],
            }),
            TensorType::MXFP4 => Self::E2m1(Grid {
                levels: E2m1Levels,
                subs: 1,
                scales: Scales::Power,
                minima: Minima::None,
                starts: Starts::Outermost(&E2M1_STARTS),
                divisors: &[],
            }),
            _ => return None,
        })
    }
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
        scales: Scales::Whole(0.0, format.max_sub),
        minima: Minima::Whole(format.max_sub),
        starts: Starts::Range(format.starts),
        divisors: format.divisors,
    }
}

fn super_symmetric<L>(levels: L, subs: usize, format: &SymmetricFormat) -> Grid<L> {
    Grid {
        levels,
        subs,
        scales: Scales::Whole(format.sub.0, format.sub.1),
        minima: Minima::None,
        starts: Starts::Outermost(format.starts),
        divisors: format.divisors,
    }
}
