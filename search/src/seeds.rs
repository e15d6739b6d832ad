//! Plans to begin with: for a price on every cost, the best plan unit by unit.
//!
//! With predictions that are sums over units, the plan that minimizes `damage + Σ price × cost` is found unit by unit, and sweeping the price walks
//! along the convex hull of all plans ("Lagrange multipliers and optimum allocation of resources": Everett's method for knapsacks). With
//! interactions the same descent, repeated until nothing changes, is a good start and no more.

use crate::Genome;
use crate::Surrogate;
use crate::problem::{Position, Problem};
use crate::repair::{fill, repair};

/// Prices for each cost alone, a step apart by this factor; and steps of the joint prices.
const PRICES: usize = 16;
const STEPS: usize = 24;
/// Sweeps over all units at one price.
const SWEEPS: usize = 6;

/// Plans within budgets along the prices: first those that use up the budgets, best predicted damage first, without doubles, then all that lie within
/// anyway, for the front. Empty when none could be repaired.
pub(crate) fn seeds<S: Surrogate>(problem: Problem<'_, S>, start: &Genome) -> Vec<Genome> {
    let all: Vec<usize> = (0..problem.space.len()).collect();
    let mut position = problem.at(start.clone());
    let mut found: Vec<Genome> = Vec::new();
    let scales = scales(&position, &all);
    descend(&mut position, &all, &vec![0.0; scales.len()]);
    found.push(position.genome.clone());
    for cost in 0..scales.len() {
        for step in 0..PRICES {
            let mut prices = vec![0.0; scales.len()];
            prices[cost] = scales[cost] * 10_f64.powf(step as f64 * 6.0 / (PRICES - 1) as f64 - 3.0);
            descend(&mut position, &all, &prices);
            found.push(position.genome.clone());
        }
    }
    found.extend(along_joint_prices(&mut position, &all, &scales));
    found.sort_unstable();
    found.dedup();
    let within: Vec<Genome> =
        found.iter().filter(|plan| problem.fits(&problem.predict(plan))).cloned().collect();
    let mut kept: Vec<(f64, Genome)> = found
        .into_iter()
        .filter_map(|genome| {
            let mut position = problem.at(genome);
            repair(&mut position, &[], &all).then(|| {
                fill(&mut position, &all, problem.budgets);
                (position.prediction.damage, position.genome)
            })
        })
        .collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    kept.dedup_by(|a, b| a.1 == b.1);
    kept.into_iter().map(|(_, genome)| genome).chain(within).collect()
}

/// Prices of the limited costs together: each rises while its limit is exceeded and falls while there is room.
fn along_joint_prices<S: Surrogate>(
    position: &mut Position<'_, S>,
    all: &[usize],
    scales: &[f64],
) -> Vec<Genome> {
    let limits = position.problem.budgets.limits();
    let limited = |cost: usize| limits[cost].is_finite();
    let mut prices: Vec<f64> =
        scales.iter().enumerate().map(|(cost, scale)| if limited(cost) { *scale } else { 0.0 }).collect();
    let mut visited = Vec::new();
    for step in 0..STEPS {
        descend(position, all, &prices);
        visited.push(position.genome.clone());
        // steps shrink, so that prices settle
        let rate = 8.0 / (1.0 + step as f64 / 4.0);
        for (cost, price) in prices.iter_mut().enumerate().filter(|(cost, _)| limited(*cost)) {
            *price *= (rate * (position.prediction.costs[cost] / limits[cost] - 1.0)).clamp(-3.0, 3.0).exp();
        }
    }
    visited
}

/// Damage per cost that single changes typically trade, for each cost.
fn scales<S: Surrogate>(position: &Position<'_, S>, all: &[usize]) -> Vec<f64> {
    let here = position.prediction;
    let mut damage = 0.0;
    let mut costs = vec![0.0; here.costs.len()];
    for (unit, level) in position.changes(all) {
        let after = position.after(unit, level);
        damage += (after.damage - here.damage).abs();
        for (sum, (to, from)) in costs.iter_mut().zip(after.costs.iter().zip(here.costs.iter())) {
            *sum += (to - from).abs();
        }
    }
    costs.iter().map(|sum| if *sum > 0.0 { damage / sum } else { 0.0 }).collect()
}

/// Every unit at its best level for the prices, again and again until nothing changes.
fn descend<S: Surrogate>(position: &mut Position<'_, S>, all: &[usize], prices: &[f64]) {
    let priced = |prediction: &crate::Prediction| {
        prediction.damage + prediction.costs.iter().zip(prices).map(|(cost, price)| cost * price).sum::<f64>()
    };
    for _ in 0..SWEEPS {
        let mut changed = false;
        for unit in all {
            let here = priced(&position.prediction);
            let mut best: Option<(f64, (usize, usize))> = None;
            for change in position.changes(std::slice::from_ref(unit)) {
                let value = priced(&position.after(change.0, change.1));
                if value < best.map_or(here - here.abs() * 1e-12, |(least, _)| least) {
                    best = Some((value, change));
                }
            }
            if let Some((_, (unit, level))) = best {
                position.go(unit, level);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
}
