//! Blocks of 32 numbers with one scale, and one minimum in the `_1` types.
//!
//! The low nibbles of the 16 code bytes are the first 16 numbers of a block, the high nibbles the last 16.

use super::block::half_at;

/// `scale: f16, codes: [i8; 32]`
pub fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (value, &code) in out.iter_mut().zip(&block[2..]) {
        *value = f32::from(code as i8) * scale;
    }
}

/// `scale: f16, codes: [u4; 32]`, codes offset by 8
pub fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = f32::from((codes & 15) as i8 - 8) * scale;
        *high = f32::from((codes >> 4) as i8 - 8) * scale;
    }
}

/// `scale: f16, minimum: f16, codes: [u4; 32]`
pub fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let minimum = half_at(block, 2);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[4..]) {
        *low = f32::from(codes & 15) * scale + minimum;
        *high = f32::from(codes >> 4) * scale + minimum;
    }
}

/// `scale: f16, fifth_bits: u32, codes: [u4; 32]`, codes offset by 16
pub fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let codes = five_bit_codes([block[2], block[3], block[4], block[5]], &block[6..]);
    for (value, code) in out.iter_mut().zip(codes) {
        *value = f32::from(code as i8 - 16) * scale;
    }
}

/// `scale: f16, minimum: f16, fifth_bits: u32, codes: [u4; 32]`
pub fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let minimum = half_at(block, 2);
    let codes = five_bit_codes([block[4], block[5], block[6], block[7]], &block[8..]);
    for (value, code) in out.iter_mut().zip(codes) {
        *value = f32::from(code) * scale + minimum;
    }
}

/// Bit `i` of `fifth_bits` is the highest bit of code `i`.
fn five_bit_codes(fifth_bits: [u8; 4], nibbles: &[u8]) -> [u8; 32] {
    let fifth_bits = u32::from_le_bytes(fifth_bits);
    let mut codes = [0; 32];
    for (index, &pair) in nibbles.iter().enumerate() {
        codes[index] = pair & 15;
        codes[index + 16] = pair >> 4;
    }
    for (index, code) in codes.iter_mut().enumerate() {
        *code |= ((fifth_bits >> index) as u8 & 1) << 4;
    }
    codes
}
