//! Experts in storage: what a token reads when memory holds a part of them.

use super::ExpertBytes;

/// How unevenly tokens choose experts: the exponent of Zipf's law over the experts of a layer. 0 is even. 0.6 is assumed: it gives
/// about the published speed of SmallThinker-4B on a Raspberry Pi 5 under a limit of 1 GiB, one figure that storage alone explains as well.
pub const ROUTING_SKEW: f64 = 0.6;

/// Bytes that a token reads from storage when `room` bytes of memory hold experts, the most popular of each layer.
///
/// The part of the choices that finds its expert in memory is the sum of Zipf's weights of the held ones.
pub fn expert_reads(experts: &ExpertBytes, room: f64, skew: f64) -> f64 {
    let held = experts.count as f64 * (room / experts.stored).clamp(0.0, 1.0);
    let weight = |rank: usize| (rank as f64).powf(-skew);
    let all: f64 = (1..=experts.count).map(weight).sum();
    let whole: f64 = (1..=held as usize).map(weight).sum();
    let rest = held.fract() * weight(held as usize + 1);
    let hits = ((whole + rest) / all).min(1.0);
    experts.used * (1.0 - hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPERTS: ExpertBytes = ExpertBytes { count: 32, stored: 32e6, used: 4e6, routed_early: true };

    #[test]
    fn even_choices_hit_as_much_as_is_held() {
        assert!((expert_reads(&EXPERTS, 8e6, 0.0) - 3e6).abs() < 1.0);
        assert_eq!(expert_reads(&EXPERTS, 32e6, 0.6), 0.0);
        assert_eq!(expert_reads(&EXPERTS, 0.0, 0.6), 4e6);
    }

    #[test]
    fn uneven_choices_read_less() {
        assert!(expert_reads(&EXPERTS, 8e6, 0.6) < expert_reads(&EXPERTS, 8e6, 0.2));
    }
}
