//! Plans are brought within budgets by the cheapest loss, and what is left of a budget is spent on the best gain.

use crate::problem::Position;
use crate::{Budgets, Surrogate};

/// Changes one unit after the other until every limit is kept, each time the change that loses the least damage for what it takes off the
/// excess (of which no more counts than there is: a change that saves twice what is needed is not twice as good). Looks at `units` first
/// and at `all` when none of them helps. False when no single change brings the plan nearer; it is then as near as it got.
pub(crate) fn repair<S: Surrogate>(position: &mut Position<'_, S>, units: &[usize], all: &[usize]) -> bool {
    while !position.fits() {
        let Some((unit, level)) = cheapest_relief(position, units).or_else(|| cheapest_relief(position, all))
        else {
            return false;
        };
        position.go(unit, level);
    }
    true
}

/// The change with the least damage per unit of excess that it takes away.
fn cheapest_relief<S: Surrogate>(position: &Position<'_, S>, units: &[usize]) -> Option<(usize, usize)> {
    let excess = position.problem.budgets.excess(&position.prediction.costs);
    let mut best: Option<(f64, (usize, usize))> = None;
    for (unit, level) in position.changes(units) {
        let after = position.after(unit, level);
        let relief = excess - position.problem.budgets.excess(&after.costs);
        // relief below rounding would go round in circles
        if relief > excess * 1e-12 {
            let price = (after.damage - position.prediction.damage) / relief;
            if best.is_none_or(|(least, _)| price < least) {
                best = Some((price, (unit, level)));
            }
        }
    }
    best.map(|(_, change)| change)
}

/// Makes single changes that lessen damage and keep `budgets`, each time the one with the most gain per share of the budgets that it takes,
/// until none is left among `units`.
pub(crate) fn fill<S: Surrogate>(position: &mut Position<'_, S>, units: &[usize], budgets: &Budgets) {
    while let Some((unit, level)) = best_gain(position, units, budgets) {
        position.go(unit, level);
    }
}

/// The change with the most gain per share of budgets.
fn best_gain<S: Surrogate>(
    position: &Position<'_, S>,
    units: &[usize],
    budgets: &Budgets,
) -> Option<(usize, usize)> {
    let used = share(&position.prediction.costs, budgets);
    let mut best: Option<(f64, (usize, usize))> = None;
    for (unit, level) in position.changes(units) {
        let after = position.after(unit, level);
        let gain = position.prediction.damage - after.damage;
        if gain > position.prediction.damage.abs() * 1e-12 && budgets.fit(&after.costs) {
            let rate = gain / (share(&after.costs, budgets) - used).max(1e-9);
            if best.is_none_or(|(most, _)| rate > most) {
                best = Some((rate, (unit, level)));
            }
        }
    }
    best.map(|(_, change)| change)
}

/// Sum of the shares of all limits that are used.
fn share(costs: &[f64], budgets: &Budgets) -> f64 {
    costs.iter().zip(budgets.limits()).map(|(cost, limit)| cost / limit).sum()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::example::Knapsack;
    use crate::problem::Problem;
    use crate::{Correction, Prediction};

    #[test]
    fn repaired_plans_keep_every_budget_and_filled_ones_still_do() {
        for seed in 0..40 {
            let knapsack = Knapsack::random(12, 5, seed);
            let mut generator = SmallRng::seed_from_u64(seed);
            let limits = knapsack.tight(0.4);
            let budgets = Budgets::new(knapsack.quantities(), &limits).unwrap();
            let correction = Correction::default();
            let problem = Problem {
                space: &knapsack.space,
                surrogate: &knapsack,
                budgets: &budgets,
                correction: &correction,
            };
            let all: Vec<usize> = (0..knapsack.space.len()).collect();
            for _ in 0..50 {
                let mut position = problem.at(knapsack.space.random(&mut generator));
                assert!(repair(&mut position, &all[..4], &all));
                let fresh: Prediction = knapsack.predict(&position.genome);
                assert!(budgets.fit(&fresh.costs));
                let before = position.prediction.damage;
                fill(&mut position, &all, &budgets);
                assert!(budgets.fit(&knapsack.predict(&position.genome).costs));
                assert!(position.prediction.damage <= before);
            }
        }
    }
}
