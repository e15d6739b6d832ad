//! Random numbers that depend on nothing but what they are for.

/// The generator "SplitMix64".
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of one sample of one task.
    pub fn of_sample(seed: u64, task: usize, sample: usize) -> Self {
        let mut state = Self(seed);
        for number in [task, sample] {
            state = Self(state.bits() ^ number as u64);
        }
        state
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// From 0 to 1, 1 not included.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
