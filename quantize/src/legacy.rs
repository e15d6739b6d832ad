//! Blocks of 32 numbers with one scale, and one minimum in the `_1` types: byte for byte what ggml writes.
//!
//! Formulas and roundings are those of the `quantize_row_*_ref` functions of `ggml-quants.c` in llama.cpp, as compiled
//! for x86-64.

use half::f16;

use super::dispatch::Encoder;
use super::pack::nibbles;
use super::vector::Vector;
use super::weighted_blocks as blocks;

/// Numbers per block.
const LEN: usize = 32;

/// `scale: f16, codes: [i8; 32]`
pub struct Q8_0;

/// `scale: f16, minimum: f16, fifth_bits: u32, codes: [u4; 32]`
pub struct Q5_1;

/// `scale: f16, fifth_bits: u32, codes: [u4; 32]`
pub struct Q5_0;

/// `scale: f16, minimum: f16, codes: [u4; 32]`
pub struct Q4_1;

/// `scale: f16, codes: [u4; 32]`
pub struct Q4_0;

impl Encoder for Q8_0 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, q8_0::<V>);
    }
}

impl Encoder for Q5_1 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        match importance {
            None => each(row, out, q5_1::<V>),
            Some(_) => blocks::each::<V, Self, 24>(row, importance, out),
        }
    }
}

impl Encoder for Q5_0 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        match importance {
            None => each(row, out, q5_0::<V>),
            Some(_) => blocks::each::<V, Self, 22>(row, importance, out),
        }
    }
}

impl Encoder for Q4_1 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        match importance {
            None => each(row, out, q4_1::<V>),
            Some(_) => blocks::each::<V, Self, 20>(row, importance, out),
        }
    }
}

impl Encoder for Q4_0 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        match importance {
            None => each(row, out, q4_0::<V>),
            Some(_) => blocks::each::<V, Self, 18>(row, importance, out),
        }
    }
}

#[inline(always)]
fn each<const BYTES: usize>(row: &[f32], out: &mut [u8], encode: impl Fn(&[f32; LEN], &mut [u8; BYTES])) {
    for (values, block) in row.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        encode(values, block);
    }
}

#[inline(always)]
fn q8_0<V: Vector>(values: &[f32; LEN], block: &mut [u8; 34]) {
    /// The largest number below one half: added before cutting off, it rounds halves away from zero and nothing else up.
    const BELOW_HALF: f32 = 0.499_999_97;

    let (smallest, largest) = range::<V>(values);
    let scale = larger(largest, -smallest).abs() / 127.0;
    let inverse = V::splat(inverse_or_zero(scale));
    let (zero, half) = (V::splat(0.0), V::splat(BELOW_HALF));
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (codes, values) in block[2..].as_chunks_mut::<8>().0.iter_mut().zip(values.as_chunks().0) {
        let scaled = V::load(values) * inverse;
        *codes = scaled.if_less(zero, scaled - half, scaled + half).cut().map(|code| code as u8);
    }
}

#[inline(always)]
fn q5_1<V: Vector>(values: &[f32; LEN], block: &mut [u8; 24]) {
    let (scale, minimum, codes) = affine_codes::<V, 31>(values);
    write_q5_1(scale, minimum, &codes, block);
}

#[inline(always)]
fn q5_0<V: Vector>(values: &[f32; LEN], block: &mut [u8; 22]) {
    let (scale, codes) = symmetric_codes::<V, 16>(values);
    write_q5_0(scale, &codes, block);
}

#[inline(always)]
fn q4_1<V: Vector>(values: &[f32; LEN], block: &mut [u8; 20]) {
    let (scale, minimum, codes) = affine_codes::<V, 15>(values);
    write_q4_1(scale, minimum, &codes, block);
}

#[inline(always)]
fn q4_0<V: Vector>(values: &[f32; LEN], block: &mut [u8; 18]) {
    let (scale, codes) = symmetric_codes::<V, 8>(values);
    write_q4_0(scale, &codes, block);
}

/// The number of largest magnitude gets code 0, zero gets code `OFFSET`.
#[inline(always)]
fn symmetric_codes<V: Vector, const OFFSET: i32>(values: &[f32; LEN]) -> (f32, [u8; LEN]) {
    let scale = outermost::<V>(values) / -OFFSET as f32;
    let inverse = V::splat(inverse_or_zero(scale));
    let shift = V::splat(if scale_vanishes(scale) { 0.0 } else { OFFSET as f32 + 0.5 });
    let mut codes = [0; LEN];
    for (codes, values) in codes.as_chunks_mut::<8>().0.iter_mut().zip(values.as_chunks().0) {
        *codes = (V::load(values) * inverse + shift).cut().map(|code| code.min(2 * OFFSET - 1) as u8);
    }
    (scale, codes)
}

/// The smallest number gets code 0, the largest code `MAX`.
#[inline(always)]
fn affine_codes<V: Vector, const MAX: i32>(values: &[f32; LEN]) -> (f32, f32, [u8; LEN]) {
    let (mut minimum, mut maximum) = range::<V>(values);
    if minimum == 0.0 {
        // of zeros with both signs, ggml takes the first
        minimum = values.iter().copied().find(|&value| value == 0.0).unwrap_or(minimum);
        maximum = if maximum == 0.0 { minimum } else { maximum };
    }
    let scale = (maximum - minimum) / MAX as f32;
    let inverse = V::splat(inverse_or_zero(scale));
    let (low, half) = (V::splat(minimum), V::splat(0.5));
    let mut codes = [0; LEN];
    for (codes, values) in codes.as_chunks_mut::<8>().0.iter_mut().zip(values.as_chunks().0) {
        *codes = ((V::load(values) - low) * inverse + half).cut().map(|code| code.min(MAX) as u8);
    }
    (scale, minimum, codes)
}

/// Zero for a scale of zero, and for one so small that its inverse overflows: ggml's conversion of infinities makes all
/// codes zero then.
#[inline(always)]
fn inverse_or_zero(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

#[inline(always)]
fn scale_vanishes(scale: f32) -> bool {
    scale != 0.0 && (1.0 / scale).is_infinite()
}

/// The first number of largest magnitude.
#[inline(always)]
fn outermost<V: Vector>(values: &[f32; LEN]) -> f32 {
    let (smallest, largest) = range::<V>(values);
    if largest > -smallest {
        largest
    } else if largest < -smallest {
        smallest
    } else if largest == 0.0 {
        0.0
    } else {
        values.iter().copied().find(|value| value.abs() == largest).unwrap_or(largest)
    }
}

/// The smallest and the largest number.
#[inline(always)]
fn range<V: Vector>(values: &[f32; LEN]) -> (f32, f32) {
    let mut low = V::splat(values[0]);
    let mut high = low;
    for values in values.as_chunks().0 {
        let values = V::load(values);
        low = values.min(low);
        high = values.max(high);
    }
    let (mut low, mut high) = (low.store(), high.store());
    for width in [4, 2, 1] {
        for lane in 0..width {
            low[lane] = smaller(low[lane], low[lane + width]);
            high[lane] = larger(high[lane], high[lane + width]);
        }
    }
    (low[0], high[0])
}

/// The minimum instruction, without the care for not-a-number of [`f32::min`].
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The maximum instruction, without the care for not-a-number of [`f32::max`].
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Layout of Q4_0.
#[inline(always)]
pub fn write_q4_0(scale: f32, codes: &[u8; LEN], block: &mut [u8; 18]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    nibbles(codes, &mut block[2..]);
}

/// Layout of Q4_1.
#[inline(always)]
pub fn write_q4_1(scale: f32, minimum: f32, codes: &[u8; LEN], block: &mut [u8; 20]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f16::from_f32(minimum).to_le_bytes());
    nibbles(codes, &mut block[4..]);
}

/// Layout of Q5_0.
#[inline(always)]
pub fn write_q5_0(scale: f32, codes: &[u8; LEN], block: &mut [u8; 22]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..6].copy_from_slice(&fifth_bits(codes));
    nibbles(codes, &mut block[6..]);
}

/// Layout of Q5_1.
#[inline(always)]
pub fn write_q5_1(scale: f32, minimum: f32, codes: &[u8; LEN], block: &mut [u8; 24]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f16::from_f32(minimum).to_le_bytes());
    block[4..8].copy_from_slice(&fifth_bits(codes));
    nibbles(codes, &mut block[8..]);
}

/// The fifth bit of code `i` is bit `i`.
#[inline(always)]
fn fifth_bits(codes: &[u8; LEN]) -> [u8; 4] {
    let mut bits = 0_u32;
    for (index, code) in codes.iter().enumerate() {
        bits |= u32::from(code >> 4) << index;
    }
    bits.to_le_bytes()
}
