//! Blocks of 32 four-bit floats with one power of two: byte for byte what ggml writes.

use super::dispatch::Encoder;
use super::pack::nibbles;
use super::vector::Vector;

/// `exponent: u8, codes: [e2m1; 32]`
pub struct Mxfp4;

/// Halfway between neighbours among twice the values of E2M1, which are 0 1 2 3 4 6 8 12.
const MIDPOINTS: [f32; 7] = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0];

/// What stands above each midpoint.
const ABOVE: [f32; 7] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];

impl Encoder for Mxfp4 {
    #[inline(always)]
    fn encode<V: Vector>(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        for (values, block) in row.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<17>().0) {
            let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
            let exponent = exponent(largest);
            block[0] = exponent;
            nibbles(&nearest::<V>(values, half_of_power(exponent)), &mut block[1..]);
        }
    }
}

/// Places the largest number between the codes for 4 and 6, or above: `floor(log2(largest)) - 2`, offset by 127.
///
/// The logarithm is that of ggml, in single precision, which rounds up to the next whole number from a little below it.
/// Numbers below 2^-125 give a wrapped exponent, as in ggml, and are stored as zeros.
#[inline(always)]
fn exponent(largest_bits: u32) -> u8 {
    let power = match largest_bits >> 23 {
        // the largest powers are rounded up to from 45 units in the last place below
        biased @ 1.. if largest_bits & 0x007f_ffff < 0x007f_ffc0 => biased as i32 - 127,
        _ if largest_bits == 0 => return 0,
        _ => (f64::from(f32::from_bits(largest_bits)).log2() as f32).floor() as i32,
    };
    (power - 2 + 127) as u8
}

/// `2^(exponent - 128)`; the two smallest are subnormal.
#[inline(always)]
fn half_of_power(exponent: u8) -> f32 {
    match exponent {
        0 | 1 => f32::from_bits(0x0020_0000 << exponent),
        _ => f32::from_bits((u32::from(exponent) - 1) << 23),
    }
}

/// The nearest codes; halfway between two, the one of smaller magnitude. Bit 3 is the sign.
#[inline(always)]
fn nearest<V: Vector>(values: &[f32; 32], scale: f32) -> [u8; 32] {
    let (zero, one, sign) = (V::splat(0.0), V::splat(1.0), V::splat(8.0));
    let mut codes = [0; 32];
    for (codes, values) in codes.as_chunks_mut::<8>().0.iter_mut().zip(values.as_chunks().0) {
        let value = V::load(values);
        let magnitude = value.max(zero - value);
        let mut code = zero;
        for (midpoint, above) in MIDPOINTS.into_iter().zip(ABOVE) {
            // a code that would be read as infinite is never the nearest
            let threshold = if (above * scale).is_finite() { midpoint * scale } else { f32::INFINITY };
            code = code + V::splat(threshold).if_less(magnitude, one, zero);
        }
        let negative = zero.if_less(code, code + sign, zero);
        *codes = value.if_less(zero, negative, code).cut().map(|code| code as u8);
    }
    codes
}
