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
        let features: Vec<Vec<f64>> = lessons.iter().map(|lesson| effects.features(lesson, scale)).collect();
        let residuals =
            lessons.iter().map(|lesson| 1.0 - scale * lesson.predicted / lesson.measured).collect();
        let mut covariances: Vec<Vec<f64>> = Vec::with_capacity(lessons.len());
        for (row, lesson) in lessons.iter().enumerate() {
            let mut values: Vec<f64> =
                features[..=row].iter().map(|other| dot(&features[row], other)).collect();
            values[row] += REST + (lesson.error / lesson.measured).powi(2);
            covariances.push(values);
        }
        let alphas = solve_positive_definite(covariances, residuals);
        let weights: Vec<f64> = (0..effects.len())
            .map(|effect| {
                features.iter().zip(&alphas).map(|(features, alpha)| features[effect] * alpha).sum()
            })
            .collect();
        Self { scale, added: effects.added(&weights), lessons: lessons.len() }
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

/// The effects that the factor of a unit at a level is made of, numbered: those of units first, then those of kinds, then those of kinds at levels.
struct Effects<'s> {
    space: &'s Space,
    shares: &'s Shares,
    /// Number of the effect of each unit's kind.
    kinds: Vec<usize>,
    /// Number of the effect of each unit's kind at level 0; those at other levels follow.
    levels: Vec<usize>,
    count: usize,
}

impl<'s> Effects<'s> {
    fn of(space: &'s Space, shares: &'s Shares) -> Self {
        let mut most_levels: BTreeMap<&str, usize> = BTreeMap::new();
        for unit in space.units() {
            let most = most_levels.entry(&unit.kind).or_insert(0);
            *most = unit.levels.max(*most);
        }
        let mut numbers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut count = space.len() + most_levels.len();
        for (index, (kind, levels)) in most_levels.into_iter().enumerate() {
            numbers.insert(kind, (space.len() + index, count));
            count += levels;
        }
        let of_units = space.units().iter().map(|unit| numbers[unit.kind.as_str()]);
        let (kinds, levels) = of_units.unzip();
        Self { space, shares, kinds, levels, count }
    }

    fn len(&self) -> usize {
        self.count
    }

    /// Effects on a unit at a level, each with its standard deviation before anything is measured.
    fn on(&self, unit: usize, level: usize) -> [(usize, f64); 3] {
        [(unit, UNITS.sqrt()), (self.kinds[unit], KINDS.sqrt()), (self.levels[unit] + level, LEVELS.sqrt())]
    }

    /// What each effect moves of a plan's damage, relative to what was measured, per standard deviation.
    fn features(&self, lesson: &Lesson, scale: f64) -> Vec<f64> {
        let mut features = vec![0.0; self.len()];
        for unit in (0..self.space.len()).filter(|&unit| !self.space.is_silent(unit, lesson.genome.levels()))
        {
            let level = lesson.genome.level(unit);
            let share = scale * self.shares[unit][level] / lesson.measured;
            for (effect, deviation) in self.on(unit, level) {
                features[effect] += deviation * share;
            }
        }
        features
    }

    /// What units add at each level, from the effects in standard deviations.
    fn added(&self, weights: &[f64]) -> Shares {
        let of_level = |unit: usize, level: usize, share: f64| {
            let effects: f64 =
                self.on(unit, level).iter().map(|(effect, deviation)| deviation * weights[*effect]).sum();
            share * ((1.0 + effects).clamp(LEAST, MOST) - 1.0)
        };
        let of_unit = |(unit, shares): (usize, &Vec<f64>)| {
            shares.iter().enumerate().map(|(level, &share)| of_level(unit, level, share)).collect()
        };
        self.shares.iter().enumerate().map(of_unit).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
