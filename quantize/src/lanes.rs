//! Arithmetic on several sub-blocks at once: lane `i` of every value belongs to sub-block `i`.
//!
//! Everything here is a plain loop: a closure over vectors would be compiled without their instructions, and called.
//! Sums over a sub-block run down its numbers one by one, so their order is the same for any vector length.

use std::ops::{Add, Mul, Sub};

use half::f16;

use super::vector::Vector;

/// One number for each of `8 * W` sub-blocks.
#[derive(Clone, Copy)]
pub struct Lanes<V, const W: usize>([V; W]);

/// `LEN` numbers of each of `8 * W` sub-blocks.
pub type Grid<V, const W: usize, const LEN: usize> = [Lanes<V, W>; LEN];

impl<V: Vector, const W: usize> Lanes<V, W> {
    /// From an array of all lanes.
    #[inline(always)]
    pub fn load(lanes: &[[f32; 8]; W]) -> Self {
        let mut loaded = Self::zero();
        for word in 0..W {
            loaded.0[word] = V::load(&lanes[word]);
        }
        loaded
    }

    /// As an array of all lanes.
    #[inline(always)]
    pub fn store(self) -> [[f32; 8]; W] {
        let mut lanes = [[0.0; 8]; W];
        for word in 0..W {
            lanes[word] = self.0[word].store();
        }
        lanes
    }

    /// The same number in all lanes.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self([V::splat(value); W])
    }

    /// Zeros.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(0.0)
    }

    /// Each lane by itself, outside the vector instructions.
    #[inline(always)]
    pub fn map(self, function: impl Fn(f32) -> f32) -> Self {
        let mut lanes = self.store();
        for lane in lanes.as_flattened_mut() {
            *lane = function(*lane);
        }
        Self::load(&lanes)
    }

    /// The smaller of each pair; `other` if they do not compare.
    #[inline(always)]
    pub fn min(mut self, other: Self) -> Self {
        for word in 0..W {
            self.0[word] = self.0[word].min(other.0[word]);
        }
        self
    }

    /// The larger of each pair; `other` if they do not compare.
    #[inline(always)]
    pub fn max(mut self, other: Self) -> Self {
        for word in 0..W {
            self.0[word] = self.0[word].max(other.0[word]);
        }
        self
    }

    /// No lane outside `low..=high`.
    #[inline(always)]
    pub fn clamp(self, low: f32, high: f32) -> Self {
        self.max(Self::splat(low)).min(Self::splat(high))
    }

    /// To the nearest integer, ties to even; for magnitudes below 2^22.
    #[inline(always)]
    pub fn round(self) -> Self {
        /// At this size, the last bit of an `f32` counts ones.
        const ONES: f32 = 12_582_912.0;
        self + Self::splat(ONES) - Self::splat(ONES)
    }

    /// Negated.
    #[inline(always)]
    pub fn negated(self) -> Self {
        Self::zero() - self
    }

    /// `1 / lane`, and 0 where that is not finite.
    #[inline(always)]
    pub fn inverse(self) -> Self {
        let mut inverse = self;
        for word in 0..W {
            inverse.0[word] = V::splat(1.0).divided_by(self.0[word]);
        }
        let magnitude = inverse.max(inverse.negated());
        magnitude.if_less(Self::splat(f32::INFINITY), inverse, Self::zero())
    }

    /// `then` where `self < than`, else `otherwise`.
    #[inline(always)]
    pub fn if_less(self, than: Self, then: Self, mut otherwise: Self) -> Self {
        for word in 0..W {
            otherwise.0[word] = self.0[word].if_less(than.0[word], then.0[word], otherwise.0[word]);
        }
        otherwise
    }

    /// The sum of the lanes, from the first to the last.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let mut sum = 0.0;
        for &lane in self.store().as_flattened() {
            sum += lane;
        }
        sum
    }

    /// The largest lane.
    #[inline(always)]
    pub fn largest(self) -> f32 {
        let lanes = self.store();
        lanes
            .as_flattened()
            .iter()
            .fold(lanes[0][0], |largest, &value| if value > largest { value } else { largest })
    }
}

impl<V: Vector, const W: usize> Add for Lanes<V, W> {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for word in 0..W {
            self.0[word] = self.0[word] + other.0[word];
        }
        self
    }
}

impl<V: Vector, const W: usize> Sub for Lanes<V, W> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for word in 0..W {
            self.0[word] = self.0[word] - other.0[word];
        }
        self
    }
}

impl<V: Vector, const W: usize> Mul for Lanes<V, W> {
    type Output = Self;
    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for word in 0..W {
            self.0[word] = self.0[word] * other.0[word];
        }
        self
    }
}

/// The sub-blocks of up to `8 * W * LEN` numbers side by side; lanes without numbers are zeros.
#[inline(always)]
pub fn grid<V: Vector, const W: usize, const LEN: usize>(values: &[f32]) -> Grid<V, W, LEN> {
    /// Larger numbers cannot be stored with half-precision scales; the squares of these stay finite.
    const LARGEST: f32 = 1e12;

    let mut grid = [[[0.0; 8]; W]; LEN];
    for (lane, values) in values.as_chunks::<LEN>().0.iter().enumerate() {
        for (row, &value) in grid.iter_mut().zip(values) {
            row.as_flattened_mut()[lane] = value;
        }
    }
    let mut loaded = [Lanes::zero(); LEN];
    for index in 0..LEN {
        loaded[index] = Lanes::load(&grid[index]).clamp(-LARGEST, LARGEST);
    }
    loaded
}

/// Codes of the sub-blocks one after the other.
#[inline(always)]
pub fn in_order<V: Vector, const W: usize, const LEN: usize>(grid: &Grid<V, W, LEN>) -> [u8; 256] {
    const { assert!(8 * W * LEN == 256) }
    let mut codes = [0; 256];
    for (index, row) in grid.iter().enumerate() {
        for (word, vector) in row.0.iter().enumerate() {
            for (lane, code) in vector.cut().into_iter().enumerate() {
                codes[(8 * word + lane) * LEN + index] = code as u8;
            }
        }
    }
    codes
}

/// What a number becomes when it is stored in half precision, never infinite.
#[inline(always)]
pub fn halved(value: f32) -> f32 {
    f16::from_f32(value.clamp(-65504.0, 65504.0)).to_f32()
}

/// The next half-precision number away from zero, never infinite. `value` is in half precision.
#[inline(always)]
pub fn next_half(value: f32) -> f32 {
    let next = f16::from_bits(f16::from_f32(value).to_bits() + 1).to_f32();
    if next.is_finite() { next } else { value }
}

/// The next half-precision number toward zero. `value` is in half precision.
#[inline(always)]
pub fn previous_half(value: f32) -> f32 {
    if value == 0.0 { value } else { f16::from_bits(f16::from_f32(value).to_bits() - 1).to_f32() }
}
