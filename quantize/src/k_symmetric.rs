//! Super-blocks of 256 numbers in sub-blocks with scales only: Q6_K, Q3_K, IQ4_XS.

use half::f16;

use super::dispatch::Encoder;
use super::lanes::{Lanes, grid};
use super::levels::{IQ4_STARTS, Iq4, Levels, Uniform};
use super::pack;
use super::symmetric::{SymmetricBlock, SymmetricFormat, codes, super_block};
use super::vector::Vector;
use super::weights::{Plain, Weights};

/// `low_codes: [u4; 256], high_codes: [u2; 256], scales: [i8; 16], d: f16`, sub-blocks of 16
pub struct Q6K;

/// `third_bits: [u1; 256], codes: [u2; 256], scales: [u6; 16], d: f16`, sub-blocks of 16
pub struct Q3K;

/// `d: f16, high_scales: [u2; 8], low_scales: [u4; 8], codes: [u4; 256]`, sub-blocks of 32
pub struct Iq4Xs;

pub const Q6_K: SymmetricFormat = SymmetricFormat {
    sub: (-128.0, 127.0),
    starts: &[
        -40.0, -39.5, -39.0, -38.5, -38.0, -37.5, -37.0, -36.5, -36.0, -35.5, -35.0, -34.5, -34.0, -33.5,
        -33.0, -32.5, -32.0, -31.5, -31.0, -30.5, -30.0, -29.5, -29.0, -28.5, -28.0, -27.5, -27.0, -26.5,
        -26.0, -25.5, -25.0, -24.5, -24.0,
    ],
    refinements: 0,
    divisors: &[-128.0, -127.0, -126.0, -125.0, -124.0, -123.0, -122.0, -121.0],
    rounds: 1,
};

pub const Q3_K: SymmetricFormat = SymmetricFormat {
    sub: (-32.0, 31.0),
    starts: &[-5.0, -4.5, -4.0, -3.5, -3.0, 2.5, 3.0, 3.5, 4.0],
    refinements: 1,
    divisors: &[-32.0, -31.5, -31.0, -30.5, -30.0, -29.0],
    rounds: 1,
};

pub const IQ4_XS: SymmetricFormat = SymmetricFormat { starts: &IQ4_STARTS, ..Q3_K };

impl Encoder for Q6K {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each::<Uniform<-32, 31>, V, 2, 16, 210>(row, importance, out, &Q6_K, write_q6_k::<V>);
    }
}

impl Encoder for Q3K {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each::<Uniform<-4, 3>, V, 2, 16, 110>(row, importance, out, &Q3_K, write_q3_k::<V>);
    }
}

impl Encoder for Iq4Xs {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each::<Iq4, V, 1, 32, 136>(row, importance, out, &IQ4_XS, write_iq4_xs::<V>);
    }
}

#[inline(always)]
fn each<L: Levels, V: Vector, const W: usize, const LEN: usize, const BYTES: usize>(
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
    format: &SymmetricFormat,
    write: impl Fn(&SymmetricBlock<V, W>, &[u8; 256], &mut [u8; BYTES]),
) {
    let blocks = row.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<BYTES>().0);
    match importance {
        None => {
            for (values, out) in blocks {
                one::<L, V, W, LEN, BYTES>(values, &Plain, out, format, &write);
            }
        }
        Some(importance) => {
            for ((values, out), weights) in blocks.zip(importance.as_chunks::<256>().0) {
                one::<L, V, W, LEN, BYTES>(values, &grid::<V, W, LEN>(weights), out, format, &write);
            }
        }
    }
}

#[inline(always)]
fn one<L: Levels, V: Vector, const W: usize, const LEN: usize, const BYTES: usize>(
    values: &[f32; 256],
    weights: &impl Weights<V, W>,
    out: &mut [u8; BYTES],
    format: &SymmetricFormat,
    write: &impl Fn(&SymmetricBlock<V, W>, &[u8; 256], &mut [u8; BYTES]),
) {
    let values = grid::<V, W, LEN>(values);
    let block = super_block::<L, V, W, LEN>(&values, weights, format);
    let codes = codes::<L, V, W, LEN>(&values, block.scales * Lanes::splat(block.scale));
    write(&block, &codes, out);
}

#[inline(always)]
pub fn write_q6_k<V: Vector>(block: &SymmetricBlock<V, 2>, codes: &[u8; 256], out: &mut [u8; 210]) {
    for (half, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
        for index in 0..32 {
            let [a, b, c, d] = [0, 32, 64, 96].map(|run| codes[index + run]);
            out[64 * half + index] = a & 15 | c << 4;
            out[64 * half + index + 32] = b & 15 | d << 4;
            out[128 + 32 * half + index] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
        }
    }
    for (stored, &scale) in out[192..208].iter_mut().zip(block.scales.store().as_flattened()) {
        *stored = scale as i8 as u8;
    }
    out[208..].copy_from_slice(&f16::from_f32(block.scale).to_le_bytes());
}

#[inline(always)]
pub fn write_q3_k<V: Vector>(block: &SymmetricBlock<V, 2>, codes: &[u8; 256], out: &mut [u8; 110]) {
    out[..32].fill(0);
    for (bit, codes) in codes.as_chunks::<32>().0.iter().enumerate() {
        for (third_bits, code) in out[..32].iter_mut().zip(codes) {
            *third_bits |= (code >> 2) << bit;
        }
    }
    pack::two_bits(codes, &mut out[32..96]);
    out[96..108].fill(0);
    for (index, scale) in block.scales.store().as_flattened().iter().enumerate() {
        let scale = (scale + 32.0) as u8;
        out[96 + index % 8] |= (scale & 15) << (4 * (index / 8));
        out[104 + index % 4] |= (scale >> 4) << (2 * (index / 4));
    }
    out[108..].copy_from_slice(&f16::from_f32(block.scale).to_le_bytes());
}

#[inline(always)]
pub fn write_iq4_xs<V: Vector>(block: &SymmetricBlock<V, 1>, codes: &[u8; 256], out: &mut [u8; 136]) {
    out[..2].copy_from_slice(&f16::from_f32(block.scale).to_le_bytes());
    out[2..8].fill(0);
    let mut high = 0_u16;
    for (index, scale) in block.scales.store()[0].into_iter().enumerate() {
        let scale = (scale + 32.0) as u8;
        high |= u16::from(scale >> 4) << (2 * index);
        out[4 + index / 2] |= (scale & 15) << (4 * (index % 2));
    }
    out[2..4].copy_from_slice(&high.to_le_bytes());
    for (codes, out) in codes.as_chunks().0.iter().zip(out[8..].as_chunks_mut::<16>().0) {
        pack::nibbles(codes, out);
    }
}
