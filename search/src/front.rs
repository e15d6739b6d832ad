//! Which of many points are best when several numbers count, all of them better when lower.

use std::cmp::Ordering;

/// Whether `a` is nowhere worse than `b` and somewhere better.
pub(crate) fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (a, b) in a.iter().zip(b) {
        match a.total_cmp(b) {
            Ordering::Greater => return false,
            Ordering::Less => better = true,
            Ordering::Equal => {}
        }
    }
    better
}

/// Indices of the points that no other dominates, in order.
pub fn undominated(points: &[Vec<f64>]) -> Vec<usize> {
    let beaten = |index: usize| points.iter().any(|other| dominates(other, &points[index]));
    (0..points.len()).filter(|&index| !beaten(index)).collect()
}

/// Fronts from the best to the worst: the points that none dominates, those that only these dominate, and so on.
/// ("A fast and elitist multiobjective genetic algorithm: NSGA-II")
pub(crate) fn sorted(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let mut dominated: Vec<Vec<usize>> = vec![Vec::new(); points.len()];
    let mut dominators = vec![0_usize; points.len()];
    for a in 0..points.len() {
        for b in 0..points.len() {
            if dominates(&points[a], &points[b]) {
                dominated[a].push(b);
                dominators[b] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut front: Vec<usize> = (0..points.len()).filter(|&index| dominators[index] == 0).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for &index in &front {
            for &other in &dominated[index] {
                dominators[other] -= 1;
                if dominators[other] == 0 {
                    next.push(other);
                }
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    fronts
}

/// How lonely each point of a front is: the sum over numbers of the gap between its neighbours, as a share of the range; infinite at the ends.
pub(crate) fn crowding(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    let numbers = front.first().map_or(0, |&index| points[index].len());
    for number in 0..numbers {
        let value = |place: usize| points[front[place]][number];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = value(last) - value(first);
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
        for around in order.windows(3) {
            if range > 0.0 {
                distances[around[1]] += (value(around[2]) - value(around[0])) / range;
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_come_in_order_and_the_lonely_count_more() {
        let points =
            [[1.0, 5.0], [2.0, 2.0], [5.0, 1.0], [2.0, 3.0], [6.0, 6.0], [3.0, 1.9]].map(|p| p.to_vec());
        assert_eq!(undominated(&points), [0, 1, 2, 5]);
        assert_eq!(sorted(&points), [vec![0, 1, 2, 5], vec![3], vec![4]]);
        let distances = crowding(&points, &[0, 1, 2, 5]);
        assert!(distances[0].is_infinite() && distances[2].is_infinite());
        assert!(distances[1] > distances[3]);
    }
}
