//! Plans that are measured to learn from, not to win.

use std::collections::BTreeMap;

use rand::Rng;

use crate::problem::{Position, Problem};
use crate::{Genome, Surrogate};

/// Share of units that a random probe changes: many, so that what they add stands out of what chunks scatter.
const CHANGED: f64 = 0.25;

/// By what part of itself a probe is to raise the predicted damage: less drowns in what chunks scatter, more is far from the plans that are chosen among.
const GROWTH: f64 = 0.3;

/// The plan with the units of one kind worse, for each kind.
pub(crate) fn of_kinds<S: Surrogate>(problem: Problem<'_, S>, plan: &Genome) -> Vec<Genome> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, unit) in problem.space.units().iter().enumerate() {
        kinds.entry(&unit.kind).or_default().push(index);
    }
    let probes = kinds.into_values().map(|units| worsened(problem, plan, &units));
    probes.filter(|probe| probe != plan).collect()
}

/// The plan with a quarter of its units worse: neighbours in the space, or any.
pub(crate) fn random<S: Surrogate>(
    problem: Problem<'_, S>,
    plan: &Genome,
    generator: &mut impl Rng,
) -> Genome {
    let all = problem.space.len();
    let units: Vec<usize> = if generator.gen_bool(0.5) {
        let first = generator.gen_range(0..all);
        (0..(all as f64 * CHANGED).ceil() as usize).map(|index| (first + index) % all).collect()
    } else {
        (0..all).filter(|_| generator.gen_bool(CHANGED)).collect()
    };
    worsened(problem, plan, &units)
}

/// The plan with these units at levels that are predicted to lose more, a level after the other, until the plan as a whole loses enough to be told apart.
fn worsened<S: Surrogate>(problem: Problem<'_, S>, plan: &Genome, units: &[usize]) -> Genome {
    let enough = (1.0 + GROWTH) * problem.predict(plan).damage;
    let mut worse = plan.clone();
    while problem.predict(&worse).damage < enough {
        let position = problem.at(worse.clone());
        let mut levels = worse.levels().to_vec();
        for &unit in units {
            if let Some(level) = worse_neighbour(&position, unit) {
                levels[unit] = level as u16;
            }
        }
        let next = problem.space.canonical(levels);
        if next == worse {
            break;
        }
        worse = next;
    }
    worse
}

fn worse_neighbour<S: Surrogate>(position: &Position<'_, S>, unit: usize) -> Option<usize> {
    // dropping what a gate holds is no small step
    if position.problem.space.is_gate(unit) {
        return None;
    }
    let here = position.genome.level(unit);
    let units = [unit];
    let near = position.changes(&units).filter(|(_, level)| level.abs_diff(here) == 1);
    let damages = near.map(|(unit, level)| (position.after(unit, level).damage, level));
    let worse = damages.filter(|(damage, _)| *damage > position.prediction.damage);
    worse.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, level)| level)
}
