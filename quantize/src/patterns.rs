//! The pattern of four magnitudes that loses least in place of four numbers (IQ3_S).

use std::sync::LazyLock;

use secateur_model::dequantize::{IQ3_S_PATTERNS, magnitudes};

/// Patterns that are tried around the point where rounding one number after the other ends.
const NEIGHBOURS: usize = 16;

/// Points of four magnitudes out of eight.
const POINTS: usize = 1 << 12;

/// For every point, as four octal digits, the codes of the patterns nearest to it, from the nearest on.
static NEAREST: LazyLock<Vec<[u16; NEIGHBOURS]>> = LazyLock::new(|| {
    let patterns = IQ3_S_PATTERNS.map(magnitudes);
    let around = |point: u16| {
        let point = magnitudes(point);
        let mut by_distance: Vec<(u16, u16)> = (0..)
            .zip(&patterns)
            .map(|(code, pattern)| {
                let distance: u16 =
                    point.iter().zip(pattern).map(|(&a, &b)| u16::from(a.abs_diff(b)).pow(2)).sum();
                (distance, code)
            })
            .collect();
        by_distance.select_nth_unstable(NEIGHBOURS - 1);
        by_distance[..NEIGHBOURS].sort_unstable();
        std::array::from_fn(|index| by_distance[index].1)
    };
    (0..POINTS as u16).map(around).collect()
});

/// What an error in four neighbouring columns costs: `|T d|²`, with `T` lower triangular, of which row `k` holds what the error of each
/// column up to `k` adds to the `k`-th term.
pub type Cost = [[f32; 4]; 4];

/// Four signed magnitudes that can be stored together.
pub type Four = [f32; 4];

/// The levels for which `(wanted - levels)` costs least, among the patterns around the point that is reached by rounding one number after
/// the other, each error made good by the numbers after it.
// kept out of the vector kernels, which would be compiled with a copy of it for every place
#[inline(never)]
pub fn nearest(wanted: Four, cost: &Cost) -> Four {
    let (point, signs) = one_by_one(wanted, cost);
    let mut best = (f32::INFINITY, [0.0; 4]);
    for &code in &NEAREST[usize::from(point)] {
        let pattern = magnitudes(IQ3_S_PATTERNS[usize::from(code)]);
        let levels: Four = std::array::from_fn(|column| signs[column] * f32::from(pattern[column]));
        let lost = lost(std::array::from_fn(|column| wanted[column] - levels[column]), cost);
        if lost < best.0 {
            best = (lost, levels);
        }
    }
    best.1
}

/// The same for eight rows side by side: `[column][row]`.
#[inline(never)]
pub fn nearest_of_eight(wanted: &[[f32; 8]; 4], cost: &Cost) -> [[f32; 8]; 4] {
    let mut found = [[0.0; 8]; 4];
    for row in 0..8 {
        let levels = nearest(wanted.map(|column| column[row]), cost);
        for (column, level) in found.iter_mut().zip(levels) {
            column[row] = level;
        }
    }
    found
}

/// `|T d|²`
#[inline]
pub fn lost(difference: Four, cost: &Cost) -> f32 {
    let mut sum = 0.0;
    for (row, last) in cost.iter().zip(1..) {
        let mut term = 0.0;
        for (entry, difference) in row[..last].iter().zip(difference) {
            term += entry * difference;
        }
        sum += term * term;
    }
    sum
}

/// The magnitudes, as four octal digits, and the signs.
#[inline]
fn one_by_one(wanted: Four, cost: &Cost) -> (u16, Four) {
    let (mut point, mut signs, mut differences) = (0, [1.0; 4], [0.0; 4]);
    for column in 0..4 {
        let row = &cost[column];
        let mut carried = 0.0;
        for (entry, difference) in row[..column].iter().zip(differences) {
            carried += entry * difference;
        }
        let value = if row[column] > 0.0 { wanted[column] + carried / row[column] } else { wanted[column] };
        let digit = ((value.abs() - 1.0) * 0.5).round_ties_even().clamp(0.0, 7.0);
        signs[column] = if value < 0.0 { -1.0 } else { 1.0 };
        differences[column] = wanted[column] - signs[column] * (2.0 * digit + 1.0);
        point = point << 3 | digit as u16;
    }
    (point, signs)
}

/// The code of the pattern of these digits, which must be one of [`IQ3_S_PATTERNS`].
pub fn code_of(digits: [u8; 4]) -> u16 {
    NEAREST[digits.iter().fold(0, |point, &digit| point << 3 | usize::from(digit & 7))][0]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARES: Cost =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    const TOGETHER: Cost =
        [[1.0, 0.0, 0.0, 0.0], [0.4, 0.9, 0.0, 0.0], [-0.3, 0.2, 1.1, 0.0], [0.2, 0.3, -0.4, 0.8]];

    /// Over every pattern with every choice of signs.
    fn least(wanted: Four, cost: &Cost) -> f32 {
        let signed = IQ3_S_PATTERNS.iter().flat_map(|&pattern| (0..16).map(move |signs| (pattern, signs)));
        signed
            .map(|(pattern, signs)| {
                let pattern = magnitudes(pattern);
                let level = |column: usize| {
                    f32::from(pattern[column]) * if signs >> column & 1 == 1 { -1.0 } else { 1.0 }
                };
                lost(std::array::from_fn(|column| wanted[column] - level(column)), cost)
            })
            .fold(f32::INFINITY, f32::min)
    }

    fn points() -> impl Iterator<Item = Four> {
        let mut state = 5_u64;
        let mut number = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 * 15.0 - 15.0
        };
        std::iter::repeat_with(move || std::array::from_fn(|_| number())).take(400)
    }

    #[test]
    fn by_plain_squares_no_pattern_is_nearer() {
        for wanted in points() {
            let levels = nearest(wanted, &SQUARES);
            let found = lost(std::array::from_fn(|column| wanted[column] - levels[column]), &SQUARES);
            assert!(found <= least(wanted, &SQUARES) + 1e-4, "{wanted:?}");
        }
    }

    #[test]
    fn where_columns_go_together_hardly_any_pattern_is_better() {
        let (mut found, mut possible) = (0.0, 0.0);
        for wanted in points() {
            let levels = nearest(wanted, &TOGETHER);
            found += lost(std::array::from_fn(|column| wanted[column] - levels[column]), &TOGETHER);
            possible += least(wanted, &TOGETHER);
        }
        assert!(found < 1.02 * possible, "{found} where {possible} is possible");
    }

    #[test]
    fn codes_lead_to_their_patterns() {
        for (code, pattern) in (0..).zip(IQ3_S_PATTERNS) {
            assert_eq!(code_of([9, 6, 3, 0].map(|shift| (pattern >> shift & 7) as u8)), code);
        }
    }
}
