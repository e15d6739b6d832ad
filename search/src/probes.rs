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
        // at the end of all levels, or where together they are not as bad as each by itself
        if problem.predict(&next).damage <= position.prediction.damage {
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::Budgets;
    use crate::correction::Correction;
    use crate::example::Knapsack;

    #[test]
    fn probes_lose_enough_more_or_are_at_the_end_of_their_levels() {
        let knapsack = Knapsack::random(24, 5, 3);
        let budgets = Budgets::new(knapsack.quantities(), &[None, None]).unwrap();
        let correction = Correction::default();
        let problem = Problem {
            space: &knapsack.space,
            surrogate: &knapsack,
            budgets: &budgets,
            correction: &correction,
        };
        let plan = knapsack.space.genome(vec![4; 24]).unwrap();
        let enough = 1.3 * problem.predict(&plan).damage;
        let mut generator = SmallRng::seed_from_u64(1);
        let drawn: Vec<Genome> = (0..20).map(|_| random(problem, &plan, &mut generator)).collect();
        let kinds = of_kinds(problem, &plan);
        assert_eq!(kinds.len(), 3, "a probe for each kind");
        for probe in kinds.iter().chain(&drawn) {
            let changed: Vec<u16> =
                probe.levels().iter().zip(plan.levels()).filter(|(a, b)| a != b).map(|(a, _)| *a).collect();
            let is_told_apart = problem.predict(probe).damage >= enough;
            assert!(is_told_apart || changed.iter().all(|&level| level == 0), "{changed:?}");
        }
        // the worst plan has no worse one
        let worst = knapsack.space.genome(vec![0; 24]).unwrap();
        assert!(of_kinds(problem, &worst).is_empty());
    }
}
