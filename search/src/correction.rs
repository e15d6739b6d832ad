//! What measurements teach about predictions.
//!
//! The logarithm of measured over predicted damage is modelled as a sum over units, `c + Σ w[unit][level]`, by a ridge regression
//! whose weights have three sources: one number for all plans, one for each kind and level, and one for each unit and level. It is solved in
//! its dual form, a system as large as the number of measurements, and then unrolled into one table, so that a move costs one subtraction.

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

/// A factor on predicted damage, learned from measurements.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Correction {
    offset: f64,
    weights: Vec<Vec<f64>>,
    lessons: usize,
}

/// Prior variances of the logarithm: of all plans together, of what kinds explain, of what units explain.
const WHOLE: f64 = 1.0;
const KINDS: f64 = 0.3;
const UNITS: f64 = 0.3;
/// Variance of what a sum over units cannot explain; interactions of units are no noise, but no lesson either.
const REST: f64 = 0.01;

impl Correction {
    /// A factor is never above `e^MOST` nor below `e^-MOST`.
    pub(crate) const MOST: f64 = 3.0;

    /// Fits what was measured. Plans of zero or negative damage, predicted or measured, have no logarithm and teach nothing.
    pub(crate) fn learn(space: &Space, lessons: &[Lesson]) -> Self {
        let lessons: Vec<&Lesson> =
            lessons.iter().filter(|lesson| lesson.predicted > 0.0 && lesson.measured > 0.0).collect();
        if lessons.is_empty() {
            return Self::default();
        }
        let kinds = Kinds::of(space);
        let targets: Vec<f64> =
            lessons.iter().map(|lesson| (lesson.measured / lesson.predicted).ln()).collect();
        let plans: Vec<(&Genome, Shares)> =
            lessons.iter().map(|lesson| (&lesson.genome, kinds.shares(&lesson.genome))).collect();
        let mut matrix: Vec<Vec<f64>> = Vec::with_capacity(lessons.len());
        for (row, lesson) in lessons.iter().enumerate() {
            let mut values: Vec<f64> =
                plans[..=row].iter().map(|other| kinds.covariance(&plans[row], other)).collect();
            values[row] += REST + (lesson.error / lesson.measured).powi(2);
            matrix.push(values);
        }
        let alphas = solve_positive_definite(matrix, targets);
        kinds.unroll(space, &lessons, &alphas)
    }

    /// How many measurements it was learned from.
    pub fn lessons(&self) -> usize {
        self.lessons
    }

    /// The factor on a plan's predicted damage.
    pub fn factor(&self, genome: &Genome) -> f64 {
        self.logarithm(genome).clamp(-Self::MOST, Self::MOST).exp()
    }

    pub(crate) fn logarithm(&self, genome: &Genome) -> f64 {
        let units = self.weights.iter().zip(genome.levels());
        self.offset + units.map(|(levels, &level)| levels[usize::from(level)]).sum::<f64>()
    }

    /// What changes of the logarithm when one unit goes to another level.
    pub(crate) fn difference(&self, genome: &Genome, unit: usize, level: usize) -> f64 {
        self.weights.get(unit).map_or(0.0, |levels| levels[level] - levels[genome.level(unit)])
    }
}

/// Shares of the units of each kind at each level: `[kind][level]`.
type Shares = Vec<BTreeMap<u16, f64>>;

/// Which kind each unit is of, and how many units share it.
struct Kinds {
    of_unit: Vec<usize>,
    sizes: Vec<usize>,
}

impl Kinds {
    fn of(space: &Space) -> Self {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut sizes = Vec::new();
        let mut of_unit = Vec::with_capacity(space.len());
        for unit in space.units() {
            let kind = *names.entry(&unit.kind).or_insert_with(|| {
                sizes.push(0);
                sizes.len() - 1
            });
            sizes[kind] += 1;
            of_unit.push(kind);
        }
        Self { of_unit, sizes }
    }

    fn shares(&self, genome: &Genome) -> Shares {
        let mut shares = vec![BTreeMap::new(); self.sizes.len()];
        for (&kind, &level) in self.of_unit.iter().zip(genome.levels()) {
            *shares[kind].entry(level).or_insert(0.0) += 1.0 / self.sizes[kind] as f64;
        }
        shares
    }

    /// How much two plans' logarithms are expected to go together.
    fn covariance(&self, (a, of_a): &(&Genome, Shares), (b, of_b): &(&Genome, Shares)) -> f64 {
        let same = a.levels().len() - a.distance(b);
        let together: f64 = of_a.iter().zip(of_b).map(|(a, b)| dot(a, b)).sum();
        WHOLE + KINDS * together / self.sizes.len() as f64 + UNITS * same as f64 / a.levels().len() as f64
    }

    /// Weights of units and levels from the weights of lessons.
    fn unroll(&self, space: &Space, lessons: &[&Lesson], alphas: &[f64]) -> Correction {
        let mut weights: Vec<Vec<f64>> = space.units().iter().map(|unit| vec![0.0; unit.levels]).collect();
        let mut shared: Shares = vec![BTreeMap::new(); self.sizes.len()];
        for (lesson, alpha) in lessons.iter().zip(alphas) {
            for (levels, &level) in weights.iter_mut().zip(lesson.genome.levels()) {
                levels[usize::from(level)] += alpha * UNITS / space.len() as f64;
            }
            for (kind, shares) in self.shares(&lesson.genome).iter().enumerate() {
                for (&level, share) in shares {
                    let scale = KINDS / (self.sizes.len() * self.sizes[kind]) as f64;
                    *shared[kind].entry(level).or_insert(0.0) += alpha * share * scale;
                }
            }
        }
        for (levels, &kind) in weights.iter_mut().zip(&self.of_unit) {
            for (&level, weight) in &shared[kind] {
                if let Some(of_level) = levels.get_mut(usize::from(level)) {
                    *of_level += weight;
                }
            }
        }
        Correction { offset: WHOLE * alphas.iter().sum::<f64>(), weights, lessons: lessons.len() }
    }
}

fn dot(a: &BTreeMap<u16, f64>, b: &BTreeMap<u16, f64>) -> f64 {
    a.iter().filter_map(|(level, share)| b.get(level).map(|other| share * other)).sum()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::Unit;

    fn lesson(genome: Genome, logarithm: f64) -> Lesson {
        Lesson { genome, predicted: 2.0, measured: 2.0 * logarithm.exp(), error: 0.0 }
    }

    #[test]
    fn a_common_factor_is_learned_from_one_measurement() {
        let space = Space::new((0..6).map(|n| Unit::new(n.to_string(), "type", 4)).collect()).unwrap();
        let mut generator = SmallRng::seed_from_u64(2);
        let seen = space.random(&mut generator);
        let correction = Correction::learn(&space, &[lesson(seen.clone(), 0.8)]);
        assert!((correction.factor(&seen).ln() - 0.8).abs() < 0.01);
        let other = correction.factor(&space.random(&mut generator)).ln();
        assert!(other > 0.5 && other <= 0.8, "{other}");
        assert_eq!(Correction::learn(&space, &[]).factor(&seen), 1.0);
    }

    #[test]
    fn effects_of_units_are_learned_and_moves_agree_with_whole_plans() {
        let units = (0..8).map(|n| Unit::new(n.to_string(), if n < 4 { "a" } else { "b" }, 3)).collect();
        let space = Space::new(units).unwrap();
        let truth = |genome: &Genome| 0.5 + 0.4 * genome.level(2) as f64 - 0.2 * genome.level(6) as f64;
        let mut generator = SmallRng::seed_from_u64(3);
        let mut draw = || space.random(&mut generator);
        let lessons: Vec<Lesson> = (0..120).map(|_| draw()).map(|g| lesson(g.clone(), truth(&g))).collect();
        let correction = Correction::learn(&space, &lessons);
        for _ in 0..50 {
            let genome = draw();
            assert!((correction.logarithm(&genome) - truth(&genome)).abs() < 0.15);
            let unit = usize::from(genome.levels()[0]) + 1;
            let moved = correction.logarithm(&space.with(&genome, unit, 2));
            let difference = correction.difference(&genome, unit, 2);
            assert!((correction.logarithm(&genome) + difference - moved).abs() < 1e-12);
        }
    }
}
