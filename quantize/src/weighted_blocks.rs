//! Blocks of 32 numbers whose scales are searched for: IQ4_NL always, the legacy types by importance.
//!
//! Eight blocks are worked on at once; at the end of a row, blocks of zeros fill up the eight.

use half::f16;

use super::affine::{self, AffineStart};
use super::dispatch::Encoder;
use super::lanes::{Grid, grid, halved, in_order};
use super::legacy::{Q4_0, Q4_1, Q5_0, Q5_1, write_q4_0, write_q4_1, write_q5_0, write_q5_1};
use super::levels::{IQ4_STARTS, Iq4, Levels, Uniform};
use super::pack;
use super::symmetric;
use super::vector::Vector;
use super::weights::{Plain, Weights};

/// `scale: f16, codes: [u4; 32]`
pub struct Iq4Nl;

/// Blocks side by side: one vector of them.
const BLOCKS: usize = 8;

/// Numbers per block.
const LEN: usize = 32;

/// What eight blocks store.
pub struct Coded {
    scales: [f32; BLOCKS],
    minima: [f32; BLOCKS],
    codes: [u8; BLOCKS * LEN],
}

/// One storage type: the search for eight blocks, and the layout of one.
pub trait Searched<const BYTES: usize> {
    /// Finds scales, minima and codes.
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded;

    /// Stores a block.
    fn write(scale: f32, minimum: f32, codes: &[u8; LEN], out: &mut [u8; BYTES]);
}

pub const FOUR_BIT_STARTS: [f32; 14] =
    [-10.0, -9.5, -9.0, -8.5, -8.0, -7.5, -7.0, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0];

pub const FIVE_BIT_STARTS: [f32; 14] =
    [-19.0, -18.0, -17.5, -17.0, -16.5, -16.0, -15.5, -15.0, 14.0, 14.5, 15.0, 15.5, 16.0, 17.0];

impl Encoder for Iq4Nl {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each::<V, Self, 18>(row, importance, out);
    }
}

impl Searched<18> for Iq4Nl {
    #[inline(always)]
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded {
        symmetric_search::<Iq4, V>(values, weights, &IQ4_STARTS, 1)
    }

    #[inline(always)]
    fn write(scale: f32, _: f32, codes: &[u8; LEN], out: &mut [u8; 18]) {
        out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        pack::nibbles(codes, &mut out[2..]);
    }
}

impl Searched<18> for Q4_0 {
    #[inline(always)]
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded {
        symmetric_search::<Uniform<-8, 7>, V>(values, weights, &FOUR_BIT_STARTS, 2)
    }

    #[inline(always)]
    fn write(scale: f32, _: f32, codes: &[u8; LEN], out: &mut [u8; 18]) {
        write_q4_0(scale, codes, out);
    }
}

impl Searched<22> for Q5_0 {
    #[inline(always)]
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded {
        symmetric_search::<Uniform<-16, 15>, V>(values, weights, &FIVE_BIT_STARTS, 2)
    }

    #[inline(always)]
    fn write(scale: f32, _: f32, codes: &[u8; LEN], out: &mut [u8; 22]) {
        write_q5_0(scale, codes, out);
    }
}

impl Searched<20> for Q4_1 {
    #[inline(always)]
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded {
        affine_search(values, weights, 15.0, &affine::FOUR_BIT_STARTS)
    }

    #[inline(always)]
    fn write(scale: f32, minimum: f32, codes: &[u8; LEN], out: &mut [u8; 20]) {
        write_q4_1(scale, minimum, codes, out);
    }
}

impl Searched<24> for Q5_1 {
    #[inline(always)]
    fn search<V: Vector>(values: &Grid<V, 1, LEN>, weights: &impl Weights<V, 1>) -> Coded {
        affine_search(values, weights, 31.0, &affine::FIVE_BIT_STARTS)
    }

    #[inline(always)]
    fn write(scale: f32, minimum: f32, codes: &[u8; LEN], out: &mut [u8; 24]) {
        write_q5_1(scale, minimum, codes, out);
    }
}

/// Encodes a row, eight blocks at a time.
#[inline(always)]
pub fn each<V: Vector, S: Searched<BYTES>, const BYTES: usize>(
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    let eights = row.chunks(BLOCKS * LEN).zip(out.chunks_mut(BLOCKS * BYTES));
    match importance {
        None => {
            for (values, out) in eights {
                let coded = S::search::<V>(&grid(values), &Plain);
                write::<S, BYTES>(&coded, out);
            }
        }
        Some(importance) => {
            for ((values, out), weights) in eights.zip(importance.chunks(BLOCKS * LEN)) {
                let coded = S::search::<V>(&grid(values), &grid::<V, 1, LEN>(weights));
                write::<S, BYTES>(&coded, out);
            }
        }
    }
}

#[inline(always)]
fn write<S: Searched<BYTES>, const BYTES: usize>(coded: &Coded, out: &mut [u8]) {
    for (block, (out, codes)) in out.as_chunks_mut().0.iter_mut().zip(coded.codes.as_chunks().0).enumerate() {
        S::write(coded.scales[block], coded.minima[block], codes, out);
    }
}

/// Scales in half precision, and the codes for these.
#[inline(always)]
fn symmetric_search<L: Levels, V: Vector>(
    values: &Grid<V, 1, LEN>,
    weights: &impl Weights<V, 1>,
    starts: &[f32],
    refinements: usize,
) -> Coded {
    let fit = symmetric::fit::<L, V, 1, LEN>(values, weights, starts, refinements);
    let scales = symmetric::half_scales::<L, V, 1, LEN>(values, weights, &fit);
    let codes = symmetric::codes::<L, V, 1, LEN>(values, scales);
    Coded { scales: scales.store()[0], minima: [0.0; BLOCKS], codes }
}

/// Scales and minima in half precision, and the codes for these.
#[inline(always)]
fn affine_search<V: Vector>(
    values: &Grid<V, 1, LEN>,
    weights: &impl Weights<V, 1>,
    max_code: f32,
    starts: &[AffineStart],
) -> Coded {
    let fit = affine::fit(values, weights, max_code, starts, 2, f32::INFINITY);
    let scales = fit.scale.map(halved);
    let minima = fit.minimum_for(scales).map(halved);
    let codes = affine::codes_of(values, scales, minima.negated(), max_code);
    Coded { scales: scales.store()[0], minima: minima.store()[0], codes: in_order(&codes) }
}
