//! Super-blocks of 256 numbers: small integer scales per sub-block, times one half-precision scale.

use super::block::half_at;

/// `scales: [(u4 scale, u4 minimum); 16], codes: [u2; 256], d: f16, dmin: f16`, sub-blocks of 16
pub fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let scale = half_at(block, 80);
    let minimum = half_at(block, 82);
    let codes = two_bit_codes(&block[16..80]);
    for ((values, codes), &sub) in
        out.as_chunks_mut::<16>().0.iter_mut().zip(codes.as_chunks().0).zip(&block[..16])
    {
        let scale = scale * f32::from(sub & 15);
        let minimum = minimum * f32::from(sub >> 4);
        affine(values, codes, scale, minimum);
    }
}

/// `third_bits: [u1; 256], codes: [u2; 256], scales: [u6; 16], d: f16`, sub-blocks of 16, codes offset by 4 and
/// scales by 32
pub fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let scale = half_at(block, 108);
    let scales = q3_k_scales(&block[96..108]);
    let mut codes = two_bit_codes(&block[32..96]);
    for (bit, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (code, third_bits) in codes.iter_mut().zip(&block[..32]) {
            *code |= (third_bits >> bit & 1) << 2;
        }
    }
    for ((values, codes), sub) in
        out.as_chunks_mut::<16>().0.iter_mut().zip(codes.as_chunks::<16>().0).zip(scales)
    {
        let scale = scale * f32::from(sub as i8 - 32);
        for (value, &code) in values.iter_mut().zip(codes) {
            *value = scale * f32::from(code as i8 - 4);
        }
    }
}

/// `d: f16, dmin: f16, scales: [(u6 scale, u6 minimum); 8], codes: [u4; 256]`, sub-blocks of 32
pub fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let codes = four_bit_codes(&block[16..]);
    affine_super_block(block, &codes, out);
}

/// As [`q4_k`], with `fifth_bits: [u1; 256]` before the codes.
pub fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let mut codes = four_bit_codes(&block[48..]);
    for (bit, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (code, fifth_bits) in codes.iter_mut().zip(&block[16..48]) {
            *code |= (fifth_bits >> bit & 1) << 4;
        }
    }
    affine_super_block(block, &codes, out);
}

/// `low_codes: [u4; 256], high_codes: [u2; 256], scales: [i8; 16], d: f16`, sub-blocks of 16, codes offset by 32
pub fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half_at(block, 208);
    for (half, values) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let low = &block[64 * half..][..64];
        let high = &block[128 + 32 * half..][..32];
        let mut codes = [0_u8; 128];
        for index in 0..32 {
            codes[index] = low[index] & 15 | (high[index] & 3) << 4;
            codes[index + 32] = low[index + 32] & 15 | (high[index] >> 2 & 3) << 4;
            codes[index + 64] = low[index] >> 4 | (high[index] >> 4 & 3) << 4;
            codes[index + 96] = low[index + 32] >> 4 | (high[index] >> 6) << 4;
        }
        let scales = &block[192 + 8 * half..][..8];
        for ((values, codes), &sub) in
            values.as_chunks_mut::<16>().0.iter_mut().zip(codes.as_chunks::<16>().0).zip(scales)
        {
            let scale = scale * f32::from(sub as i8);
            for (value, &code) in values.iter_mut().zip(codes) {
                *value = scale * f32::from(code as i8 - 32);
            }
        }
    }
}

fn affine_super_block(block: &[u8], codes: &[u8; 256], out: &mut [f32; 256]) {
    let scale = half_at(block, 0);
    let minimum = half_at(block, 2);
    let subs = six_bit_scales_and_minima(&block[4..16]);
    for ((values, codes), (sub_scale, sub_minimum)) in
        out.as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks().0).zip(subs)
    {
        affine(values, codes, scale * f32::from(sub_scale), minimum * f32::from(sub_minimum));
    }
}

fn affine<const LEN: usize>(values: &mut [f32; LEN], codes: &[u8; LEN], scale: f32, minimum: f32) {
    for (value, &code) in values.iter_mut().zip(codes) {
        *value = scale * f32::from(code) - minimum;
    }
}

/// Each 32 bytes hold 128 codes: first the lowest two bits of every byte, then the next two.
fn two_bit_codes(bytes: &[u8]) -> [u8; 256] {
    let mut codes = [0; 256];
    for (run, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (code, byte) in codes.iter_mut().zip(&bytes[32 * (run / 4)..]) {
            *code = byte >> (2 * (run % 4)) & 3;
        }
    }
    codes
}

/// Each 32 bytes hold 64 codes: first the low nibble of every byte, then the high one.
fn four_bit_codes(bytes: &[u8]) -> [u8; 256] {
    let mut codes = [0; 256];
    for (run, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (code, byte) in codes.iter_mut().zip(&bytes[32 * (run / 2)..]) {
            *code = byte >> (4 * (run % 2)) & 15;
        }
    }
    codes
}

/// The 12 scale bytes of Q4_K and Q5_K: the upper two bits of the last four pairs fill up the bytes of the first four.
fn six_bit_scales_and_minima(bytes: &[u8]) -> [(u8, u8); 8] {
    std::array::from_fn(|index| {
        if index < 4 {
            (bytes[index] & 63, bytes[index + 4] & 63)
        } else {
            let low = bytes[index + 4];
            (low & 15 | bytes[index - 4] >> 6 << 4, low >> 4 | bytes[index] >> 6 << 4)
        }
    })
}

/// The 12 scale bytes of Q3_K: nibbles in the first eight, the upper two bits in the last four.
fn q3_k_scales(bytes: &[u8]) -> [u8; 16] {
    std::array::from_fn(|index| {
        let low = bytes[index % 8] >> (4 * (index / 8)) & 15;
        let high = bytes[8 + index % 4] >> (2 * (index / 4)) & 3;
        low | high << 4
    })
}
