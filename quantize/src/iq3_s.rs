//! IQ3_S: super-blocks of 256 numbers, four magnitudes to a code, each number with its sign.

use half::f16;

use super::dispatch::Encoder;
use super::lanes::{halved, next_half};
use super::patterns::{self, Cost};
use super::vector::Vector;

/// `d: f16, patterns: [u8; 64], ninth_bits: [u1; 64], signs: [u1; 256], scales: [u4; 8]`, sub-blocks of 32 scaled by `2 scale + 1`
pub struct Iq3S;

/// Numbers with a scale in common.
const SUB: usize = 32;

/// Onto which level the greatest magnitude of a sub-block falls at first.
pub const STARTS: [f32; 9] = [11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 20.0];

/// What the largest scale of a super-block may be divided by.
pub const DIVISORS: [f32; 8] = [31.0, 30.0, 29.0, 28.0, 27.0, 26.0, 25.0, 33.0];

impl Encoder for Iq3S {
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
        /// Larger numbers cannot be stored with half-precision scales; the squares of these stay finite.
        const LARGEST: f32 = 1e12;

        let blocks = row.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<110>().0);
        for (index, (values, out)) in blocks.enumerate() {
            let weights = importance
                .map_or([1.0; 256], |weights| std::array::from_fn(|column| weights[256 * index + column]));
            encode(&values.map(|value| value.clamp(-LARGEST, LARGEST)), &weights, out);
        }
    }
}

/// A sub-block whose scale may be any number.
#[derive(Clone, Copy)]
struct Fit {
    scale: f32,
    /// How the squared error grows around the scale while the levels stay.
    squares: f32,
}

fn encode(values: &[f32; 256], weights: &[f32; 256], out: &mut [u8; 110]) {
    let subs: [(&[f32; SUB], &[f32; SUB]); 8] = {
        let (values, weights) = (values.as_chunks().0, weights.as_chunks().0);
        std::array::from_fn(|sub| (&values[sub], &weights[sub]))
    };
    let fits = subs.map(|(values, weights)| fit(values, weights));
    // no magnitude is zero: numbers too small for any scale are best stored by a scale of zero
    let all: f32 = values.iter().zip(weights).map(|(value, weight)| weight * value * value).sum();
    let mut best = (all, 0.0, [1.0; 8]);
    for unit in units(&fits) {
        let (mut lost, mut scales) = (0.0, [1.0; 8]);
        for (sub, &(values, weights)) in subs.iter().enumerate() {
            let (error, scale) = whole_scale(values, weights, unit, fits[sub].scale);
            lost += error;
            scales[sub] = scale;
        }
        if lost < best.0 {
            best = (lost, unit, scales);
        }
    }
    let (_, unit, scales) = best;
    let mut codes = [0; 256];
    for ((codes, &(values, weights)), scale) in
        codes.as_chunks_mut::<SUB>().0.iter_mut().zip(&subs).zip(scales)
    {
        *codes = levels(values, weights, unit * scale).map(code);
    }
    write_iq3_s(unit, &scales, &codes, out);
}

/// How a level is handed on: a digit, and 8 for what is below zero.
pub fn code(level: f32) -> u8 {
    let digit = ((level.abs() - 1.0) / 2.0) as u8;
    if level < 0.0 { digit + 8 } else { digit }
}

/// The scale of least weighted squared error of a sub-block.
fn fit(values: &[f32; SUB], weights: &[f32; SUB]) -> Fit {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let mut best = Fit { scale: 0.0, squares: 0.0 };
    let mut best_gain = 0.0;
    for start in STARTS {
        let mut scale = largest / start;
        for _ in 0..2 {
            let levels = levels(values, weights, scale);
            let (mut squares, mut products) = (0.0, 0.0);
            for ((level, value), weight) in levels.iter().zip(values).zip(weights) {
                squares += weight * level * level;
                products += weight * level * value;
            }
            scale = if squares > 0.0 { products / squares } else { 0.0 };
            let gain = scale * products;
            if gain > best_gain {
                best_gain = gain;
                best = Fit { scale, squares };
            }
        }
    }
    best
}

/// Half-precision scales of a super-block worth trying: those for which the scales of its sub-blocks change least.
fn units(fits: &[Fit; 8]) -> [f32; 3] {
    let largest = fits.iter().fold(0.0_f32, |largest, fit| largest.max(fit.scale));
    let mut units = DIVISORS.map(|divisor| {
        let half = halved(largest / divisor);
        // a scale that is too large still stores something
        let unit = if half == 0.0 && largest > 0.0 { next_half(half) } else { half };
        let growth: f32 = fits
            .iter()
            .map(|fit| (nearest_odd(fit.scale, unit) * unit - fit.scale).powi(2) * fit.squares)
            .sum();
        (growth, unit)
    });
    units.sort_by(|one, other| one.0.total_cmp(&other.0));
    std::array::from_fn(|index| units[index].1)
}

/// The odd multiple of `unit` nearest to a scale.
fn nearest_odd(scale: f32, unit: f32) -> f32 {
    let multiple = if unit > 0.0 { scale / unit } else { 0.0 };
    2.0 * ((multiple - 1.0) / 2.0).round_ties_even().clamp(0.0, 15.0) + 1.0
}

/// The odd scale with which a sub-block loses least, near the one that it wants, and what it loses.
fn whole_scale(values: &[f32; SUB], weights: &[f32; SUB], unit: f32, wanted: f32) -> (f32, f32) {
    let center = nearest_odd(wanted, unit);
    let mut best = (f32::INFINITY, center);
    for step in [0.0, -2.0, 2.0] {
        let scale = center + step;
        if !(1.0..=31.0).contains(&scale) {
            continue;
        }
        let mut lost = 0.0;
        for ((level, value), weight) in levels(values, weights, unit * scale).iter().zip(values).zip(weights)
        {
            let error = value - unit * scale * level;
            lost += weight * error * error;
        }
        if lost < best.0 {
            best = (lost, scale);
        }
    }
    best
}

fn levels(values: &[f32; SUB], weights: &[f32; SUB], scale: f32) -> [f32; SUB] {
    let inverse = 1.0 / scale;
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let mut levels = [0.0; SUB];
    let fours = values.as_chunks::<4>().0.iter().zip(weights.as_chunks::<4>().0);
    for (levels, (values, weights)) in levels.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
        let mut cost: Cost = [[0.0; 4]; 4];
        for column in 0..4 {
            cost[column][column] = weights[column].sqrt();
        }
        *levels = patterns::nearest(values.map(|value| value * inverse), &cost);
    }
    levels
}

/// Stores a super-block: `unit` times the odd `scales` times what the codes stand for ([`code`]).
pub fn write_iq3_s(unit: f32, scales: &[f32; 8], codes: &[u8; 256], out: &mut [u8; 110]) {
    out.fill(0);
    out[..2].copy_from_slice(&f16::from_f32(unit).to_le_bytes());
    for (index, codes) in codes.as_chunks::<4>().0.iter().enumerate() {
        let pattern = patterns::code_of(codes.map(|code| code & 7));
        out[2 + index] = pattern as u8;
        out[66 + index / 8] |= ((pattern >> 8) as u8) << (index % 8);
        for (column, code) in codes.iter().enumerate() {
            out[74 + index / 2] |= (code >> 3) << (4 * (index % 2) + column);
        }
    }
    for (sub, scale) in scales.iter().enumerate() {
        out[106 + sub / 2] |= (((scale - 1.0) / 2.0) as u8) << (4 * (sub % 2));
    }
}
