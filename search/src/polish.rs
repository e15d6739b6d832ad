//! A plan is improved by exchanges, one unit up and another down, until none helps.

use crate::Surrogate;
use crate::problem::Position;
use crate::repair::fill;

/// Makes the best exchange of each unit in turn, from unit `from` on, until a whole turn brings nothing or about `effort` predictions were
/// made. Single changes that help are made in between.
pub(crate) fn polish<S: Surrogate>(
    position: &mut Position<'_, S>,
    all: &[usize],
    from: usize,
    effort: usize,
) {
    let budgets = position.problem.budgets;
    fill(position, all, budgets);
    let mut left = effort;
    let mut fruitless = 0;
    for unit in all.iter().copied().cycle().skip(from % all.len()) {
        if fruitless == all.len() || left == 0 {
            return;
        }
        fruitless += 1;
        if let Some(better) = best_exchange(position, unit, all, &mut left) {
            *position = better;
            fill(position, all, budgets);
            fruitless = 0;
        }
    }
}

/// The best plan within budgets with `unit` and one more unit at other levels; nothing when none is better.
fn best_exchange<'p, S: Surrogate>(
    position: &Position<'p, S>,
    unit: usize,
    all: &[usize],
    left: &mut usize,
) -> Option<Position<'p, S>> {
    let problem = position.problem;
    let mut best: Option<Position<'p, S>> = None;
    let mut least = position.prediction.damage - position.prediction.damage.abs() * 1e-12;
    for (unit, level) in position.changes(&[unit]) {
        let mut between = problem.at(problem.space.with(&position.genome, unit, level));
        let mut partner = None;
        let mut with_partner = least;
        for (other, level) in between.changes(all) {
            *left = left.saturating_sub(1);
            let after = between.after(other, level);
            if after.damage < with_partner && problem.fits(&after) {
                with_partner = after.damage;
                partner = Some((other, level));
            }
        }
        if let Some((other, level)) = partner {
            between.go(other, level);
            // a prediction in steps may differ from the whole one in the last digits
            if between.fits() && between.prediction.damage < least {
                least = between.prediction.damage;
                best = Some(between);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use crate::example::Knapsack;
    use crate::{Budgets, Genome, Preset, Search, Surrogate};

    /// All plans of `units` units of `levels` levels.
    fn all_plans(knapsack: &Knapsack, units: u32, levels: u16) -> impl Iterator<Item = Genome> + '_ {
        (0..u32::from(levels).pow(units)).map(move |index| {
            let digit = |unit: u32| (index / u32::from(levels).pow(unit)) as u16 % levels;
            knapsack.space.genome((0..units).map(digit).collect()).unwrap()
        })
    }

    #[test]
    fn the_best_of_all_plans_under_two_budgets_is_found() {
        for seed in 0..12 {
            let knapsack = Knapsack::random(7, 4, seed);
            for share in [0.15, 0.4, 0.75] {
                let budgets = Budgets::new(knapsack.quantities(), &knapsack.tight(share)).unwrap();
                let least = all_plans(&knapsack, 7, 4)
                    .map(|plan| knapsack.predict(&plan))
                    .filter(|prediction| budgets.fit(&prediction.costs))
                    .map(|prediction| prediction.damage)
                    .fold(f64::INFINITY, f64::min);
                let search =
                    Search::new(&knapsack.space, &knapsack, budgets, Preset::Fast.settings(seed)).unwrap();
                assert_eq!(search.explore().unwrap().best.predicted, least, "seed {seed}, share {share}");
            }
        }
    }
}
