//! Super-blocks of 256 numbers in sub-blocks with scale and minimum: Q5_K, Q4_K, Q2_K.

use half::f16;

use super::affine::{AffineBlock, AffineFormat, FIVE_BIT_STARTS, FOUR_BIT_STARTS, start, super_block};
use super::dispatch::Encoder;
use super::lanes::{Lanes, grid, in_order};
use super::pack;
use super::vector::Vector;
use super::weights::Plain;

/// `d: f16, dmin: f16, scales: [(u6 scale, u6 minimum); 8], fifth_bits: [u1; 256], codes: [u4; 256]`
pub struct Q5K;

/// `d: f16, dmin: f16, scales: [(u6 scale, u6 minimum); 8], codes: [u4; 256]`
pub struct Q4K;

/// `scales: [(u4 scale, u4 minimum); 16], codes: [u2; 256], d: f16, dmin: f16`
pub struct Q2K;

pub const Q5_K: AffineFormat = AffineFormat {
    max_code: 31.0,
    max_sub: 63.0,
    starts: &FIVE_BIT_STARTS,
    refinements: 1,
    divisors: &[0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0],
    rounds: 1,
};

pub const Q4_K: AffineFormat =
    AffineFormat { max_code: 15.0, starts: &FOUR_BIT_STARTS, refinements: 2, ..Q5_K };

pub const Q2_K: AffineFormat = AffineFormat {
    max_code: 3.0,
    max_sub: 15.0,
    starts: &[
        start(3.0, 0.0),
        start(2.0, 0.0),
        start(2.5, 0.5),
        start(2.7, 0.5),
        start(3.3, 0.5),
        start(3.6, 0.5),
        start(4.0, 0.5),
        start(4.0, 0.0),
        start(4.0, 1.0),
        start(5.0, 0.5),
    ],
    refinements: 2,
    divisors: &[0.4, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5, -3.0],
    rounds: 2,
};

impl Encoder for Q5K {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each(row, importance, out, &Q5_K, write_q5_k::<V>);
    }
}

impl Encoder for Q4K {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each(row, importance, out, &Q4_K, write_q4_k::<V>);
    }
}

impl Encoder for Q2K {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        each(row, importance, out, &Q2_K, write_q2_k::<V>);
    }
}

#[inline(always)]
fn each<V: Vector, const W: usize, const LEN: usize, const BYTES: usize>(
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
    format: &AffineFormat,
    write: impl Fn(&AffineBlock<V, W, LEN>, &mut [u8; BYTES]),
) {
    let blocks = row.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<BYTES>().0);
    match importance {
        None => {
            for (values, out) in blocks {
                write(&super_block(&grid::<V, W, LEN>(values), &Plain, format), out);
            }
        }
        Some(importance) => {
            for ((values, out), weights) in blocks.zip(importance.as_chunks::<256>().0) {
                write(&super_block(&grid::<V, W, LEN>(values), &grid::<V, W, LEN>(weights), format), out);
            }
        }
    }
}

#[inline(always)]
pub fn write_q5_k<V: Vector>(block: &AffineBlock<V, 1, 32>, out: &mut [u8; 176]) {
    write_super(block, &mut out[..16]);
    let codes = in_order(&block.codes);
    out[16..48].fill(0);
    for (bit, codes) in codes.as_chunks::<32>().0.iter().enumerate() {
        for (fifth_bits, code) in out[16..48].iter_mut().zip(codes) {
            *fifth_bits |= (code >> 4) << bit;
        }
    }
    write_nibbles(&codes, &mut out[48..]);
}

#[inline(always)]
pub fn write_q4_k<V: Vector>(block: &AffineBlock<V, 1, 32>, out: &mut [u8; 144]) {
    write_super(block, &mut out[..16]);
    write_nibbles(&in_order(&block.codes), &mut out[16..]);
}

#[inline(always)]
pub fn write_q2_k<V: Vector>(block: &AffineBlock<V, 2, 16>, out: &mut [u8; 84]) {
    let (scales, minima) = (block.scales.store(), block.minima.store());
    for ((out, &scale), &minimum) in out.iter_mut().zip(scales.as_flattened()).zip(minima.as_flattened()) {
        *out = scale as u8 | (minimum as u8) << 4;
    }
    pack::two_bits(&in_order(&block.codes), &mut out[16..80]);
    out[80..82].copy_from_slice(&f16::from_f32(block.scale).to_le_bytes());
    out[82..84].copy_from_slice(&f16::from_f32(block.minimum).to_le_bytes());
}

/// Scales of Q4_K and Q5_K: the upper two bits of the last four pairs fill up the bytes of the first four.
#[inline(always)]
fn write_super<V: Vector>(block: &AffineBlock<V, 1, 32>, out: &mut [u8]) {
    out[..2].copy_from_slice(&f16::from_f32(block.scale).to_le_bytes());
    out[2..4].copy_from_slice(&f16::from_f32(block.minimum).to_le_bytes());
    let whole = |lanes: Lanes<V, 1>| lanes.store()[0].map(|value| value as u8);
    let (scales, minima) = (whole(block.scales), whole(block.minima));
    for index in 0..4 {
        out[4 + index] = scales[index] | scales[index + 4] >> 4 << 6;
        out[8 + index] = minima[index] | minima[index + 4] >> 4 << 6;
        out[12 + index] = scales[index + 4] & 15 | minima[index + 4] << 4;
    }
}

/// Each 32 bytes hold two sub-blocks: the low nibbles the first, the high ones the second.
#[inline(always)]
fn write_nibbles(codes: &[u8; 256], out: &mut [u8]) {
    for (pair, out) in codes.as_chunks::<64>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        for index in 0..32 {
            out[index] = pair[index] & 15 | pair[index + 32] << 4;
        }
    }
}
