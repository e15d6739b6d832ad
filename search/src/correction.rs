//! What measurements teach about predictions.
//!
//! A prediction is taken apart into what each unit adds at its level, `d[unit][level]`, over the unit's best level, seen from a plan of reference.
//! In truth a unit adds `f[unit][level] × d[unit][level]`: predictions are wrong by factors. A factor is 1 plus an effect of its kind, one of
//! its kind and level, and one of its own, each small unless measurements say otherwise: a ridge regression of relative residuals, after a scale
//! common to all plans. It is solved in its dual form, a system as large as the number of measurements, and unrolled into a table, so
//! that a move costs one subtraction.

mod cholesky;

use std::collections::BTreeMap;

use crate::{Genome, Space};
use cholesky::solve_positive_definite;

/// What one measured plan says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lesson {
    pub genome: Genome,
    pub predicted: f64,
    pub measured: f64,
    /// Standard error of `measured`.
    pub error: f64,
}

/// What each unit adds to the predicted damage at each level: `[unit][level]`, 0 at its best level.
pub(crate) type Shares = Vec<Vec<f64>>;

/// Corrected damage of a plan is `scale × (predicted + Σ added[unit][level])`.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    scale: f64,
    added: Shares,
    lessons: usize,
}

/// Prior variances of the effects on factors.
const KINDS: f64 = 0.3;
const LEVELS: f64 = 0.1;
const UNITS: f64 = 0.3;
/// Relative variance of what factors cannot explain; interactions of units are no noise, but no lesson either.
const REST: f64 = 0.001;
/// Factors stay between these, whatever was measured.
const LEAST: f64 = 0.05;
const MOST: f64 = 20.0;

impl Default for Correction {
    fn default() -> Self {
        Self { scale: 1.0, added: Vec::new(), lessons: 0 }
    }
}

impl Correction {
    /// Fits what was measured. Plans of zero or negative damage, predicted or measured, have no factor and teach nothing.
    pub(crate) fn learn(space: &Space, shares: &Shares, lessons: &[Lesson]) -> Self {
        let lessons: Vec<&Lesson> =
            lessons.iter().filter(|lesson| lesson.predicted > 0.0 && lesson.measured > 0.0).collect();
        if lessons.is_empty() {
            return Self::default();
        }
        let scale = common_scale(&lessons);
        let effects = Effects::of(space, shares);
        let parts: Vec<Parts> = lessons.iter().map(|lesson| effects.parts(lesson, scale)).collect();
        let residuals =
            lessons.iter().map(|lesson| 1.0 - scale * lesson.predicted / lesson.measured).collect();
        let mut covariances: Vec<Vec<f64>> = Vec::with_capacity(lessons.len());
        for (row, lesson) in lessons.iter().enumerate() {
            let mut values: Vec<f64> =
                parts[..=row].iter().map(|other| parts[row].covariance(other)).collect();
            values[row] += REST + (lesson.error / lesson.measured).powi(2);
            covariances.push(values);
        }
        let alphas = solve_positive_definite(covariances, residuals);
        Self { scale, added: effects.added(&parts, &alphas), lessons: lessons.len() }
    }

    /// How many measurements it was learned from.
    pub fn lessons(&self) -> usize {
        self.lessons
    }

    /// The factor common to all plans.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Damage of a plan, given what is predicted and [`Correction::added`].
    pub(crate) fn corrected(&self, predicted: f64, added: f64) -> f64 {
        if added == 0.0 {
            self.scale * predicted
        } else {
            self.scale * (predicted + added).max(LEAST * predicted)
        }
    }

    /// What the units of a plan add to its prediction.
    pub(crate) fn added(&self, space: &Space, genome: &Genome) -> f64 {
        let levels = genome.levels();
        let heard = self.added.iter().enumerate().filter(|(unit, _)| !space.is_silent(*unit, levels));
        heard.map(|(unit, of_level)| of_level[genome.level(unit)]).sum()
    }

    /// What changes of that when one unit goes to another level.
    pub(crate) fn difference(&self, genome: &Genome, unit: usize, level: usize) -> f64 {
        self.added.get(unit).map_or(0.0, |levels| levels[level] - levels[genome.level(unit)])
    }
}

/// The factor that fits all plans best: the mean of logarithms, exact measurements counting more.
fn common_scale(lessons: &[&Lesson]) -> f64 {
    let weight = |lesson: &Lesson| 1.0 / (0.01 + (lesson.error / lesson.measured).powi(2));
    let weights: f64 = lessons.iter().map(|lesson| weight(lesson)).sum();
    let logarithms = lessons.iter().map(|lesson| weight(lesson) * (lesson.measured / lesson.predicted).ln());
    (logarithms.sum::<f64>() / weights).exp()
}

/// Which effects the factor of a unit has.
struct Effects<'s> {
    space: &'s Space,
    shares: &'s Shares,
    /// Kind of each unit, as a number.
    kinds: Vec<usize>,
}

/// What is added to a plan's damage by units of each kind, of each kind at each level, and by each unit; as shares of its measured damage.
struct Parts {
    kinds: BTreeMap<usize, f64>,
    levels: BTreeMap<(usize, u16), f64>,
    units: Vec<f64>,
}

impl<'s> Effects<'s> {
    fn of(space: &'s Space, shares: &'s Shares) -> Self {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let number = |unit: &'s crate::Unit| {
            let next = numbers.len();
            *numbers.entry(unit.kind.as_str()).or_insert(next)
        };
        Self { space, shares, kinds: space.units().iter().map(number).collect() }
    }

    fn parts(&self, lesson: &Lesson, scale: f64) -> Parts {
        let mut parts = Parts { kinds: BTreeMap::new(), levels: BTreeMap::new(), units: Vec::new() };
        let levels = lesson.genome.levels();
        for (unit, (&level, &kind)) in levels.iter().zip(&self.kinds).enumerate() {
            let silent = self.space.is_silent(unit, levels);
            let share =
                if silent { 0.0 } else { scale * self.shares[unit][usize::from(level)] / lesson.measured };
            *parts.kinds.entry(kind).or_insert(0.0) += share;
            *parts.levels.entry((kind, level)).or_insert(0.0) += share;
            parts.units.push(share);
        }
        parts
    }

    /// The table of what units add, from the weights of lessons.
    fn added(&self, parts: &[Parts], alphas: &[f64]) -> Shares {
        let together = |part: &dyn Fn(&Parts) -> f64| -> f64 {
            parts.iter().zip(alphas).map(|(parts, alpha)| alpha * part(parts)).sum()
        };
        let of_unit = |unit: usize| {
            let kind = self.kinds[unit];
            let base = KINDS * together(&|parts| parts.kinds.get(&kind).copied().unwrap_or(0.0))
                + UNITS * together(&|parts| parts.units[unit]);
            let levels = self.shares[unit].iter().enumerate().map(|(level, share)| {
                let of_level =
                    together(&|parts| parts.levels.get(&(kind, level as u16)).copied().unwrap_or(0.0));
                share * ((1.0 + base + LEVELS * of_level).clamp(LEAST, MOST) - 1.0)
            });
            levels.collect()
        };
        (0..self.kinds.len()).map(of_unit).collect()
    }
}

impl Parts {
    /// How much the relative residuals of two plans are expected to go together.
    fn covariance(&self, other: &Self) -> f64 {
        let units: f64 = self.units.iter().zip(&other.units).map(|(a, b)| a * b).sum();
        KINDS * dot(&self.kinds, &other.kinds) + LEVELS * dot(&self.levels, &other.levels) + UNITS * units
    }
}

fn dot<K: Ord>(a: &BTreeMap<K, f64>, b: &BTreeMap<K, f64>) -> f64 {
    a.iter().filter_map(|(key, value)| b.get(key).map(|other| value * other)).sum()
}

#[cfg(test)]
mod tests;
