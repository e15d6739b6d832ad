//! Four-bit codes that stand for unevenly spaced values.

use super::block::half_at;

/// What the codes of IQ4_NL and IQ4_XS stand for, before scaling (`kvalues_iq4nl` in ggml).
pub const IQ4_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the values of the four-bit float E2M1.
const E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// `scale: f16, codes: [u4; 32]`
pub fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    look_up(&scaled(&IQ4_VALUES, half_at(block, 0)), &block[2..], out);
}

/// `d: f16, high_scales: [u2; 8], low_scales: [u4; 8], codes: [u4; 256]`, sub-blocks of 32, scales offset by 32
pub fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let scale = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (sub, values) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let low = block[4 + sub / 2] >> (4 * (sub % 2)) & 15;
        let high = (high >> (2 * sub)) as u8 & 3;
        let scale = scale * f32::from((low | high << 4) as i8 - 32);
        look_up(&scaled(&IQ4_VALUES, scale), &block[8 + 16 * sub..][..16], values);
    }
}

/// `exponent: u8, codes: [e2m1; 32]`
pub fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    look_up(&scaled(&E2M1_DOUBLED, half_of_power(block[0])), &block[1..], out);
}

/// `2^(exponent - 128)`: half of what E8M0 means, since the table holds doubled values. The two smallest are subnormal.
fn half_of_power(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        0 => 0x0020_0000,
        1 => 0x0040_0000,
        _ => (u32::from(exponent) - 1) << 23,
    })
}

fn scaled(table: &[i8; 16], scale: f32) -> [f32; 16] {
    table.map(|value| scale * f32::from(value))
}

/// Low nibbles are the first 16 numbers, high nibbles the last 16.
fn look_up(table: &[f32; 16], codes: &[u8], out: &mut [f32; 32]) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &pair) in low.iter_mut().zip(high).zip(codes) {
        *low = table[usize::from(pair & 15)];
        *high = table[usize::from(pair >> 4)];
    }
}
