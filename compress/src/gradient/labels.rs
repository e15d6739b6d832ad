//! Labels drawn from the model's own predictions.

/// Which token counts as the right one after a position of a text, given the model's probabilities, `[vocabulary]`.
pub(super) type Labels<'a> = &'a (dyn Fn(usize, usize, &[f32]) -> usize + Sync);

/// Draws from `probabilities`, `[vocabulary]`. The draw depends on seed, text and position, and on nothing that was drawn before.
pub(super) fn draw(seed: u64, text: usize, position: usize, probabilities: &[f32]) -> usize {
    let total: f64 = probabilities.iter().copied().map(f64::from).sum();
    let mut left = uniform(seed, text as u64, position as u64) * total;
    for (token, &probability) in probabilities.iter().enumerate() {
        left -= f64::from(probability);
        if left < 0.0 {
            return token;
        }
    }
    // rounding has used up the sum: the last token that can be drawn at all
    probabilities.iter().rposition(|&probability| probability > 0.0).unwrap_or(0)
}

/// A number in `[0, 1)`.
fn uniform(seed: u64, text: u64, position: u64) -> f64 {
    let bits = mix(mix(mix(seed).wrapping_add(text)).wrapping_add(position));
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// One step of SplitMix64. Source: "Fast Splittable Pseudorandom Number Generators".
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_splitmix64() {
        // the first outputs of the reference implementation with seed 1234567
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(mix(1_234_567_u64.wrapping_add(0x9e37_79b9_7f4a_7c15)), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_are_as_frequent_as_they_are_probable() {
        let probabilities = [0.5, 0.0, 0.3, 0.2];
        let mut counts = [0_u32; 4];
        let draws = 40_000;
        for position in 0..draws / 4 {
            for text in 0..4 {
                counts[draw(7, text, position, &probabilities)] += 1;
            }
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            let share = f64::from(*count) / draws as f64;
            // four standard deviations
            let bound = 4.0 * (f64::from(probability) * (1.0 - f64::from(probability)) / draws as f64).sqrt();
            assert!((share - f64::from(probability)).abs() <= bound, "{share} instead of {probability}");
        }
    }
}
