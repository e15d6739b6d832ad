//! Blocks of 32 four-bit floats with one power of two: byte for byte what ggml writes.

use super::dispatch::Encoder;

/// `exponent: u8, codes: [e2m1; 32]`
pub struct Mxfp4;

/// Twice the values of the four-bit float E2M1.
const E2M1_DOUBLED: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

impl Encoder for Mxfp4 {
    #[inline(always)]
    fn encode(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
        for (values, block) in row.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<17>().0) {
            let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
            let exponent = exponent(f32::from_bits(largest));
            let codes = nearest(values, half_of_power(exponent));
            block[0] = exponent;
            for index in 0..16 {
                block[1 + index] = codes[index] | codes[index + 16] << 4;
            }
        }
    }
}

/// Places the largest number between the codes for 4 and 6, or above: `floor(log2(largest)) - 2`, offset by 127.
///
/// The logarithm is that of ggml, rounded to single precision before it is cut off. Numbers below 2^-125 give a wrapped
/// exponent, as in ggml, and are stored as zeros.
#[inline(always)]
fn exponent(largest: f32) -> u8 {
    if largest == 0.0 {
        return 0;
    }
    let power = (f64::from(largest).log2() as f32).floor();
    (power as i32 - 2 + 127) as u8
}

/// `2^(exponent - 128)`; the two smallest are subnormal.
#[inline(always)]
fn half_of_power(exponent: u8) -> f32 {
    match exponent {
        0 | 1 => f32::from_bits(0x0020_0000 << exponent),
        _ => f32::from_bits((u32::from(exponent) - 1) << 23),
    }
}

/// Of equally near values, the first in the table.
#[inline(always)]
fn nearest(values: &[f32; 32], scale: f32) -> [u8; 32] {
    let mut codes = [0_u32; 32];
    let mut distances = values.map(f32::abs);
    for code in 1..16 {
        let level = E2M1_DOUBLED[code] * scale;
        for index in 0..32 {
            let distance = (level - values[index]).abs();
            let nearer = distance < distances[index];
            distances[index] = if nearer { distance } else { distances[index] };
            codes[index] = if nearer { code as u32 } else { codes[index] };
        }
    }
    codes.map(|code| code as u8)
}
