//! Which islands exchange plans.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

/// Who is whose neighbour among islands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Graph {
    /// Each island and the next.
    Ring,
    /// Every pair.
    Complete,
    /// Islands at random places of the unit square; a pair is linked with probability `exp(-distance / reach)`, and each island has one more
    /// link to anywhere with probability `long_range`. Parts that stay apart are joined at their nearest places. ("Random Spatial Networks")
    Spatial {
        /// Distance at which the probability has fallen to 1/e.
        reach: f64,
        /// Probability of a far link of each island.
        long_range: f64,
    },
}

impl Graph {
    /// Neighbours of each island, symmetric and in order; the same for the same seed.
    pub fn neighbours(&self, islands: usize, seed: u64) -> Vec<Vec<usize>> {
        let mut links = Links::new(islands);
        match *self {
            Self::Ring => (0..islands).for_each(|island| links.join(island, (island + 1) % islands)),
            Self::Complete => {
                for island in 0..islands {
                    (0..island).for_each(|other| links.join(island, other));
                }
            }
            Self::Spatial { reach, long_range } => links.join_in_space(reach, long_range, seed),
        }
        links.into_neighbours()
    }
}

/// A symmetric matrix of links.
struct Links {
    linked: Vec<Vec<bool>>,
}

impl Links {
    fn new(islands: usize) -> Self {
        Self { linked: vec![vec![false; islands]; islands] }
    }

    fn join(&mut self, a: usize, b: usize) {
        if a != b {
            self.linked[a][b] = true;
            self.linked[b][a] = true;
        }
    }

    fn join_in_space(&mut self, reach: f64, long_range: f64, seed: u64) {
        let islands = self.linked.len();
        let mut generator = SmallRng::seed_from_u64(seed);
        let places: Vec<(f64, f64)> =
            (0..islands).map(|_| (generator.gen_range(0.0..1.0), generator.gen_range(0.0..1.0))).collect();
        let distance = |a: usize, b: usize| (places[a].0 - places[b].0).hypot(places[a].1 - places[b].1);
        for a in 0..islands {
            for b in 0..a {
                if generator.gen_bool((-distance(a, b) / reach).exp()) {
                    self.join(a, b);
                }
            }
            if generator.gen_bool(long_range) {
                self.join(a, generator.gen_range(0..islands));
            }
        }
        loop {
            let reached = self.reached_from_first();
            let pairs = (0..islands).flat_map(|a| (0..islands).map(move |b| (a, b)));
            let apart = pairs.filter(|&(a, b)| reached[a] && !reached[b]);
            match apart.min_by(|x, y| distance(x.0, x.1).total_cmp(&distance(y.0, y.1))) {
                Some((a, b)) => self.join(a, b),
                None => return,
            }
        }
    }

    fn reached_from_first(&self) -> Vec<bool> {
        let mut reached = vec![false; self.linked.len()];
        let mut waiting: Vec<usize> = (0..self.linked.len().min(1)).collect();
        while let Some(island) = waiting.pop() {
            if !std::mem::replace(&mut reached[island], true) {
                waiting.extend((0..self.linked.len()).filter(|&other| self.linked[island][other]));
            }
        }
        reached
    }

    fn into_neighbours(self) -> Vec<Vec<usize>> {
        let of =
            |row: Vec<bool>| row.iter().enumerate().filter(|(_, is)| **is).map(|(other, _)| other).collect();
        self.linked.into_iter().map(of).collect()
    }
}

/// How many epochs it takes until the best plan of one island is the best of all of them, when nothing better is found meanwhile: mean over the
/// islands where it may appear. A complete graph needs 1, a ring of n islands n/2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Takeover {
    /// The graph that was used.
    pub graph: Graph,
    /// Number of islands.
    pub islands: usize,
    /// Mean epochs in this graph.
    pub epochs: f64,
    /// Mean epochs in the complete graph of as many islands.
    pub complete: f64,
}

impl Takeover {
    /// Of a graph as the search uses it.
    pub fn of(graph: Graph, islands: usize, seed: u64) -> Self {
        let epochs = mean_epochs(&graph.neighbours(islands, seed));
        Self { graph, islands, epochs, complete: mean_epochs(&Graph::Complete.neighbours(islands, seed)) }
    }
}

fn mean_epochs(neighbours: &[Vec<usize>]) -> f64 {
    let total: usize = (0..neighbours.len()).map(|start| epochs_from(start, neighbours)).sum();
    total as f64 / neighbours.len().max(1) as f64
}

/// Each epoch, whoever has a neighbour with the plan gets it.
fn epochs_from(start: usize, neighbours: &[Vec<usize>]) -> usize {
    let mut has: Vec<bool> = (0..neighbours.len()).map(|island| island == start).collect();
    let mut epochs = 0;
    while has.contains(&false) {
        has =
            (0..has.len()).map(|island| has[island] || neighbours[island].iter().any(|&n| has[n])).collect();
        epochs += 1;
    }
    epochs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takeover_is_one_epoch_when_complete_and_half_way_round_a_ring() {
        let ring = Takeover::of(Graph::Ring, 8, 0);
        assert_eq!((ring.epochs, ring.complete), (4.0, 1.0));
        assert_eq!(Takeover::of(Graph::Ring, 1, 0).epochs, 0.0);
    }

    #[test]
    fn spatial_networks_are_connected_symmetric_and_near_first() {
        for seed in 0..50 {
            let graph = Graph::Spatial { reach: 0.15, long_range: 0.2 };
            let neighbours = graph.neighbours(16, seed);
            assert_eq!(neighbours, graph.neighbours(16, seed));
            for (island, list) in neighbours.iter().enumerate() {
                assert!(list.iter().all(|&other| neighbours[other].contains(&island) && other != island));
            }
            let epochs = Takeover::of(graph, 16, seed).epochs;
            assert!((1.0..16.0).contains(&epochs));
        }
        let wide = Graph::Spatial { reach: 1e9, long_range: 0.0 };
        assert_eq!(wide.neighbours(6, 1), Graph::Complete.neighbours(6, 1));
    }
}
