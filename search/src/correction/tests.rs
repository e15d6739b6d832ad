use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::Unit;

const LEVELS_OF_UNIT: usize = 3;

fn space() -> Space {
    let unit = |n: usize| Unit::new(n.to_string(), if n < 4 { "a" } else { "b" }, LEVELS_OF_UNIT);
    Space::new((0..8).map(unit).collect()).unwrap()
}

/// A unit adds more at higher levels, and units add different amounts.
fn shares() -> Shares {
    (0..8).map(|unit| (0..LEVELS_OF_UNIT).map(|level| (level * (unit + 2)) as f64).collect()).collect()
}

/// Damage when the share of each unit counts by a factor.
fn damage(genome: &Genome, factor: impl Fn(usize) -> f64) -> f64 {
    let shares = shares();
    5.0 + (0..8).map(|unit| factor(unit) * shares[unit][genome.level(unit)]).sum::<f64>()
}

fn lesson(genome: Genome, factor: impl Fn(usize) -> f64) -> Lesson {
    let (predicted, measured) = (damage(&genome, |_| 1.0), damage(&genome, factor));
    Lesson { genome, predicted, measured, error: 0.0 }
}

fn expected(correction: &Correction, genome: &Genome) -> f64 {
    correction.corrected(damage(genome, |_| 1.0), correction.added(&space(), genome))
}

#[test]
fn a_common_factor_is_learned_from_one_measurement() {
    let mut generator = SmallRng::seed_from_u64(2);
    let seen = space().random(&mut generator);
    let mut one = lesson(seen.clone(), |_| 1.0);
    one.measured *= 2.5;
    let correction = Correction::learn(&space(), &shares(), &[one]);
    for _ in 0..20 {
        let other = space().random(&mut generator);
        assert!((expected(&correction, &other) / damage(&other, |_| 2.5) - 1.0).abs() < 0.5);
        assert_eq!(expected(&Correction::default(), &other), damage(&other, |_| 1.0));
    }
    assert!((expected(&correction, &seen) / damage(&seen, |_| 1.0) - 2.5).abs() < 1e-9);
}

#[test]
fn factors_of_kinds_and_units_are_learned_from_few_measurements() {
    let factor = |unit: usize| {
        if unit < 4 {
            0.5
        } else if unit == 6 {
            3.0
        } else {
            1.2
        }
    };
    let mut generator = SmallRng::seed_from_u64(3);
    let lessons: Vec<Lesson> = (0..20).map(|_| lesson(space().random(&mut generator), factor)).collect();
    let correction = Correction::learn(&space(), &shares(), &lessons);
    for _ in 0..50 {
        let genome = space().random(&mut generator);
        let truth = damage(&genome, factor);
        assert!((expected(&correction, &genome) / truth - 1.0).abs() < 0.1);
    }
}

#[test]
fn moves_agree_with_whole_plans() {
    let space = space();
    let mut generator = SmallRng::seed_from_u64(4);
    let lessons: Vec<Lesson> =
        (0..9).map(|_| lesson(space.random(&mut generator), |unit| unit as f64)).collect();
    let correction = Correction::learn(&space, &shares(), &lessons);
    for unit in 0..8 {
        let genome = space.random(&mut generator);
        let moved = correction.added(&space, &space.with(&genome, unit, 2));
        let stepped = correction.added(&space, &genome) + correction.difference(&genome, unit, 2);
        assert!((moved - stepped).abs() < 1e-9);
    }
}
