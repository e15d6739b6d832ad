//! Blocks of 32 numbers with one scale, and one minimum in the `_1` types: byte for byte what ggml writes.
//!
//! Formulas and roundings are those of the `quantize_row_*_ref` functions of `ggml-quants.c` in llama.cpp, as compiled
//! for x86-64.

use half::f16;

use super::dispatch::Encoder;

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
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, q8_0);
    }
}

impl Encoder for Q5_1 {
    #[inline(always)]
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, |values, block: &mut [u8; 24]| {
            let (scale, minimum, codes) = affine_codes::<31>(values);
            write_q5_1(scale, minimum, &codes, block);
        });
    }
}

impl Encoder for Q5_0 {
    #[inline(always)]
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, |values, block: &mut [u8; 22]| {
            let (scale, codes) = symmetric_codes::<16>(values);
            write_q5_0(scale, &codes, block);
        });
    }
}

impl Encoder for Q4_1 {
    #[inline(always)]
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, |values, block: &mut [u8; 20]| {
            let (scale, minimum, codes) = affine_codes::<15>(values);
            write_q4_1(scale, minimum, &codes, block);
        });
    }
}

impl Encoder for Q4_0 {
    #[inline(always)]
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        each(row, out, |values, block: &mut [u8; 18]| {
            let (scale, codes) = symmetric_codes::<8>(values);
            write_q4_0(scale, &codes, block);
        });
    }
}

#[inline(always)]
fn each<const BYTES: usize>(row: &[f32], out: &mut [u8], encode: impl Fn(&[f32; LEN], &mut [u8; BYTES])) {
    for (values, block) in row.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        encode(values, block);
    }
}

#[inline(always)]
fn q8_0(values: &[f32; LEN], block: &mut [u8; 34]) {
    /// The largest number below one half: added before cutting off, it rounds halves away from zero and nothing else up.
    const BELOW_HALF: f32 = 0.499_999_97;

    let (smallest, largest) = range(values);
    let scale = larger(largest, -smallest).abs() / 127.0;
    let inverse = inverse_or_zero(scale);
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (code, value) in block[2..].iter_mut().zip(values) {
        let scaled = value * inverse;
        *code = cut(scaled + BELOW_HALF.copysign(scaled)) as u8;
    }
}

/// The number of largest magnitude gets code 0, zero gets code `OFFSET`.
#[inline(always)]
fn symmetric_codes<const OFFSET: i32>(values: &[f32; LEN]) -> (f32, [u8; LEN]) {
    let scale = outermost(values) / -OFFSET as f32;
    let inverse = inverse_or_zero(scale);
    let shift = if scale_vanishes(scale) { 0.0 } else { OFFSET as f32 + 0.5 };
    (scale, values.map(|value| cut(value * inverse + shift).min(2 * OFFSET - 1) as u8))
}

/// The smallest number gets code 0, the largest code `MAX`.
#[inline(always)]
fn affine_codes<const MAX: i32>(values: &[f32; LEN]) -> (f32, f32, [u8; LEN]) {
    let (mut minimum, mut maximum) = range(values);
    if minimum == 0.0 {
        // of zeros with both signs, ggml takes the first
        minimum = values.iter().copied().find(|&value| value == 0.0).unwrap_or(minimum);
        maximum = if maximum == 0.0 { minimum } else { maximum };
    }
    let scale = (maximum - minimum) / MAX as f32;
    let inverse = inverse_or_zero(scale);
    (scale, minimum, values.map(|value| cut((value - minimum) * inverse + 0.5).min(MAX) as u8))
}

/// Cuts off the fraction. The codes are bounded by construction; not-a-number, from a range that overflowed, becomes 0.
#[inline(always)]
fn cut(value: f32) -> i32 {
    value as i32
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
fn outermost(values: &[f32; LEN]) -> f32 {
    let (smallest, largest) = range(values);
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
fn range(values: &[f32; LEN]) -> (f32, f32) {
    let &[mut smallest, ref rest @ ..] = values.as_chunks::<8>().0 else { return (0.0, 0.0) };
    let mut largest = smallest;
    for values in rest {
        for lane in 0..8 {
            smallest[lane] = smaller(values[lane], smallest[lane]);
            largest[lane] = larger(values[lane], largest[lane]);
        }
    }
    (smallest.into_iter().fold(smallest[0], smaller), largest.into_iter().fold(largest[0], larger))
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
    write_nibbles(codes, &mut block[2..]);
}

/// Layout of Q4_1.
#[inline(always)]
pub fn write_q4_1(scale: f32, minimum: f32, codes: &[u8; LEN], block: &mut [u8; 20]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f16::from_f32(minimum).to_le_bytes());
    write_nibbles(codes, &mut block[4..]);
}

/// Layout of Q5_0.
#[inline(always)]
pub fn write_q5_0(scale: f32, codes: &[u8; LEN], block: &mut [u8; 22]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..6].copy_from_slice(&fifth_bits(codes));
    write_nibbles(codes, &mut block[6..]);
}

/// Layout of Q5_1.
#[inline(always)]
pub fn write_q5_1(scale: f32, minimum: f32, codes: &[u8; LEN], block: &mut [u8; 24]) {
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f16::from_f32(minimum).to_le_bytes());
    block[4..8].copy_from_slice(&fifth_bits(codes));
    write_nibbles(codes, &mut block[8..]);
}

/// The first 16 codes are the low nibbles, the last 16 the high ones.
#[inline(always)]
fn write_nibbles(codes: &[u8; LEN], out: &mut [u8]) {
    let (low, high) = codes.split_at(LEN / 2);
    for ((pair, low), high) in out.iter_mut().zip(low).zip(high) {
        *pair = low & 15 | high << 4;
    }
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
