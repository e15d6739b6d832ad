//! Codes into bytes, where several types share the layout.

/// Each 32 bytes hold 128 codes: the first 32 in the lowest two bits, and so on up.
#[inline(always)]
pub fn two_bits(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.as_chunks::<128>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        for index in 0..32 {
            out[index] = codes[index] & 3
                | (codes[index + 32] & 3) << 2
                | (codes[index + 64] & 3) << 4
                | (codes[index + 96] & 3) << 6;
        }
    }
}

/// The first 16 codes of a block are the low nibbles, the last 16 the high ones.
#[inline(always)]
pub fn nibbles(codes: &[u8; 32], out: &mut [u8]) {
    let (low, high) = codes.split_at(16);
    for ((pair, low), high) in out.iter_mut().zip(low).zip(high) {
        *pair = low & 15 | high << 4;
    }
}
