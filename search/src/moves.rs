//! How children differ from their parents: some units are changed, and others pay for it.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::problem::{Position, Problem};
use crate::repair::{fill, repair};
use crate::selection::Aim;
use crate::{Budgets, Genome, Surrogate};

/// Units that may pay for a change or use what it freed; a few, drawn anew, so that children differ and large spaces stay quick.
const PAYING: usize = 24;

/// A child: one to three units at other levels, few more often than many ("EvoPress"), brought back within budgets by other units, and the
/// rest of the budgets spent. On the way to a front only what costs nothing is improved.
pub(crate) fn vary<S: Surrogate>(
    problem: Problem<'_, S>,
    aim: Aim,
    parent: Genome,
    generator: &mut impl Rng,
) -> Genome {
    let mut units: Vec<usize> = (0..problem.space.len()).collect();
    units.shuffle(generator);
    let mut child = problem.at(parent);
    let moves = generator.gen_range(1..=3).min(generator.gen_range(1..=3));
    let mut changed = 0;
    while changed < moves && changed < units.len() {
        change(&mut child, units[changed], generator);
        changed += 1;
    }
    let all: Vec<usize> = (0..problem.space.len()).collect();
    let paying = &units[changed..(changed + PAYING).min(units.len())];
    if repair(&mut child, paying, &all) {
        match aim {
            Aim::Answer => fill(&mut child, paying, problem.budgets),
            Aim::Front => {
                let here = Budgets::at(&child.prediction.costs);
                fill(&mut child, paying, &here);
            }
        }
    }
    child.genome
}

/// One unit to a neighbouring level, or as often to any other.
fn change<S: Surrogate>(position: &mut Position<'_, S>, unit: usize, generator: &mut impl Rng) {
    let levels = position.problem.space.units()[unit].levels;
    if levels == 1 || position.problem.space.is_silent(unit, position.genome.levels()) {
        return;
    }
    let here = position.genome.level(unit);
    let to = if generator.gen_bool(0.5) {
        if here + 1 == levels || here > 0 && generator.gen_bool(0.5) { here - 1 } else { here + 1 }
    } else {
        (here + generator.gen_range(1..levels)) % levels
    };
    position.go(unit, to);
}
