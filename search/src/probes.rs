//! Plans that are measured to learn from, not to win.

use std::collections::BTreeMap;

use rand::Rng;

use crate::problem::{Position, Problem};
use crate::{Genome, Surrogate};

/// Share of units that a random probe changes: many, so that what they add stands out of what chunks scatter.
const CHANGED: f64 = 0.25;

/// The plan with every unit of one kind a level worse, for each kind.
pub(crate) fn of_kinds<S: Surrogate>(problem: Problem<'_, S>, plan: &Genome) -> Vec<Genome> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, unit) in problem.space.units().iter().enumerate() {
        kinds.entry(&unit.kind).or_default().push(index);
    }
    kinds.into_values().map(|units| worsened(problem, plan, units)).collect()
}

/// The plan with a random quarter of its units a level worse.
pub(crate) fn random<S: Surrogate>(
    problem: Problem<'_, S>,
    plan: &Genome,
    generator: &mut impl Rng,
) -> Genome {
    worsened(problem, plan, (0..problem.space.len()).filter(|_| generator.gen_bool(CHANGED)).collect())
}

/// The plan with these units at the neighbouring level that is predicted to lose more, where there is one.
fn worsened<S: Surrogate>(problem: Problem<'_, S>, plan: &Genome, units: Vec<usize>) -> Genome {
    let position = problem.at(plan.clone());
    let mut levels = plan.levels().to_vec();
    for unit in units {
        if let Some(level) = worse_neighbour(&position, unit) {
            levels[unit] = level as u16;
        }
    }
    problem.space.canonical(levels)
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
