//! A plan is improved by exchanges, one unit up and another down, until none helps.

use crate::Surrogate;
use crate::problem::Position;
use crate::repair::fill;

/// Makes the best single changes and then the first pair of changes that lessens damage within budgets, over and over, for as many
/// predictions as `effort`. Gates are not paired: what they silence would have to be chosen anew.
pub(crate) fn polish<S: Surrogate>(position: &mut Position<'_, S>, all: &[usize], effort: usize) {
    let mut left = effort;
    loop {
        fill(position, all, position.problem.budgets);
        if !improve_by_a_pair(position, all, &mut left) {
            return;
        }
    }
}

/// Goes to the best plan within a pair of changes of the first unit that has one; false when there is none or no effort is left.
fn improve_by_a_pair<S: Surrogate>(position: &mut Position<'_, S>, all: &[usize], left: &mut usize) -> bool {
    let floor = position.prediction.damage - position.prediction.damage.abs() * 1e-12;
    let firsts: Vec<(usize, usize)> = position.changes(all).collect();
    let mut best: Option<(f64, [(usize, usize); 2])> = None;
    let mut unit_of_best = None;
    for first in firsts {
        // all levels of the unit are compared before the next unit is looked at
        if unit_of_best.is_some_and(|unit| unit != first.0) || *left == 0 {
            break;
        }
        let mut between =
            position.problem.at(position.problem.space.with(&position.genome, first.0, first.1));
        let others: Vec<usize> = all.iter().copied().filter(|&unit| unit != first.0).collect();
        let seconds: Vec<(usize, usize)> = between.changes(&others).collect();
        *left = left.saturating_sub(seconds.len());
        for second in seconds {
            let after = between.after(second.0, second.1);
            if after.damage < best.map_or(floor, |(least, _)| least) && position.problem.fits(&after) {
                best = Some((after.damage, [first, second]));
                unit_of_best = Some(first.0);
            }
        }
        if let Some((_, [of_first, second])) = best
            && of_first == first
        {
            between.go(second.0, second.1);
            // a prediction in steps may differ from the whole one in the last digits
            if !(between.fits() && between.prediction.damage < floor) {
                best = None;
                unit_of_best = None;
            }
        }
    }
    let Some((_, [first, second])) = best else { return false };
    position.go(first.0, first.1);
    position.go(second.0, second.1);
    true
}
