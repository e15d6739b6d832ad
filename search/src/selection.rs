//! Who lives on: what fits first, then the least damage, or fronts and the lonely on them.

use std::cmp::Ordering;

use crate::front::{crowding, sorted};
use crate::problem::Problem;
use crate::{Genome, Prediction, Surrogate};

/// What an island is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The least damage within budgets.
    Answer,
    /// All plans within budgets of which none is better in everything.
    Front,
}

/// The best `size` of these plans, best first. Plans that exceed a budget come after all that fit, by how much they exceed.
pub(crate) fn select<S: Surrogate>(
    problem: Problem<'_, S>,
    aim: Aim,
    mut plans: Vec<(Genome, Prediction)>,
    size: usize,
) -> Vec<(Genome, Prediction)> {
    // by genome first, so that ties do not depend on the order of a hash map
    plans.sort_by(|a, b| a.0.cmp(&b.0));
    plans.dedup_by(|a, b| a.0 == b.0);
    let excess = |prediction: &Prediction| problem.budgets.excess(&prediction.costs);
    plans.sort_by(|(_, a), (_, b)| by_excess_then_damage(excess(a), a, excess(b), b));
    if aim == Aim::Front {
        let fitting = plans.iter().take_while(|(_, prediction)| excess(prediction) == 0.0).count();
        let beyond = plans.split_off(fitting);
        plans = by_fronts(&plans);
        plans.extend(beyond);
    }
    plans.truncate(size);
    plans
}

fn by_excess_then_damage(of_a: f64, a: &Prediction, of_b: f64, b: &Prediction) -> Ordering {
    of_a.total_cmp(&of_b).then(a.damage.total_cmp(&b.damage))
}

/// Front after front; on each, the loneliest first.
fn by_fronts(plans: &[(Genome, Prediction)]) -> Vec<(Genome, Prediction)> {
    let points: Vec<Vec<f64>> = plans.iter().map(|(_, prediction)| objectives(prediction)).collect();
    let mut order = Vec::with_capacity(plans.len());
    for front in sorted(&points) {
        let distances = crowding(&points, &front);
        let mut places: Vec<usize> = (0..front.len()).collect();
        places.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
        order.extend(places.into_iter().map(|place| front[place]));
    }
    order.into_iter().map(|index| plans[index].clone()).collect()
}

/// What counts on a front: damage and every cost.
pub(crate) fn objectives(prediction: &Prediction) -> Vec<f64> {
    std::iter::once(prediction.damage).chain(prediction.costs.iter().copied()).collect()
}
