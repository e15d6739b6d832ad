//! Numbers that are random and the same every time.

/// The generator "SplitMix64".
pub struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A number between 0 and 1, neither included.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// A number with mean 0 and deviation 1 (Box and Muller).
    pub fn gaussian(&mut self) -> f32 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }

    /// A number as trained weights have them: a gaussian, whose deviation now and then is large (Student's t, 4 degrees).
    pub fn heavy_tailed(&mut self) -> f32 {
        let squares: f32 = (0..4).map(|_| self.gaussian().powi(2)).sum();
        self.gaussian() / (squares / 4.0).sqrt()
    }
}
