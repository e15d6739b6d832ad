//! A separable problem with known answers, for tests.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::{Costs, Evaluate, Genome, Prediction, Progress, Report, Space, Surrogate, Task, Unit};

/// Units whose damage falls and whose bytes and microseconds rise with the level, by random amounts.
pub(crate) struct Knapsack {
    pub space: Space,
    quantities: Vec<String>,
    /// `[unit][level]` of damage, bytes, microseconds.
    table: Vec<Vec<[f64; 3]>>,
}

impl Knapsack {
    pub fn random(units: usize, levels: usize, seed: u64) -> Self {
        let mut generator = SmallRng::seed_from_u64(seed);
        let space = Space::new(
            (0..units).map(|n| Unit::new(format!("unit {n}"), format!("kind {}", n % 3), levels)).collect(),
        )
        .unwrap();
        let quantities = vec!["bytes".to_owned(), "µs".to_owned()];
        let table = (0..units).map(|_| Self::unit(levels, &mut generator)).collect();
        Self { space, quantities, table }
    }

    fn unit(levels: usize, generator: &mut SmallRng) -> Vec<[f64; 3]> {
        let mut damage = generator.gen_range(1.0..20.0);
        let size = generator.gen_range(1..20);
        let rows = 0..levels;
        rows.map(|level| {
            damage *= generator.gen_range(0.3..0.9);
            let bytes = (size * (level + 1) * 10 + generator.gen_range(0..9)) as f64;
            [damage, bytes, bytes * generator.gen_range(0.5..1.5)]
        })
        .collect()
    }

    /// Limits at a share of the way from the least to the most of each cost.
    pub fn tight(&self, share: f64) -> Vec<Option<f64>> {
        let sum = |level: usize, what: usize| self.table.iter().map(|unit| unit[level][what]).sum::<f64>();
        let last = self.table[0].len() - 1;
        (1..3).map(|what| Some(sum(0, what) + share * (sum(last, what) - sum(0, what)))).collect()
    }

    fn sums(&self, genome: &Genome) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (unit, &level) in self.table.iter().zip(genome.levels()) {
            for (sum, value) in sums.iter_mut().zip(unit[usize::from(level)]) {
                *sum += value;
            }
        }
        sums
    }
}

impl Surrogate for Knapsack {
    type State = [f64; 3];

    fn quantities(&self) -> &[String] {
        &self.quantities
    }

    fn state(&self, genome: &Genome) -> [f64; 3] {
        self.sums(genome)
    }

    fn predict(&self, genome: &Genome) -> Prediction {
        let [damage, bytes, time] = self.sums(genome);
        Prediction { damage, costs: Costs::new(&[bytes, time]) }
    }

    fn after_move(
        &self,
        _: &Space,
        genome: &Genome,
        state: &[f64; 3],
        unit: usize,
        level: usize,
    ) -> Prediction {
        let (from, to) = (&self.table[unit][genome.level(unit)], &self.table[unit][level]);
        let change = |what: usize| state[what] - from[what] + to[what];
        Prediction { damage: change(0), costs: Costs::new(&[change(1), change(2)]) }
    }
}

/// What plans of a knapsack lose in truth: the prediction off by a factor per unit, neighbours that make each other worse, and chunks of
/// different hardness. Counts what it was asked.
pub(crate) struct Truth<'k> {
    pub knapsack: &'k Knapsack,
    pub chunks: usize,
    pub measured: AtomicUsize,
    /// Measures so many chunks and then acts as if someone asked to stop.
    pub patience: usize,
}

impl<'k> Truth<'k> {
    pub fn of(knapsack: &'k Knapsack, chunks: usize) -> Self {
        Self { knapsack, chunks, measured: AtomicUsize::new(0), patience: usize::MAX }
    }

    /// Mean over all chunks.
    pub fn mean(&self, genome: &Genome) -> f64 {
        (0..self.chunks).map(|chunk| self.value(genome, chunk)).sum::<f64>() / self.chunks as f64
    }

    fn value(&self, genome: &Genome, chunk: usize) -> f64 {
        let of_unit = |unit: usize| self.knapsack.table[unit][genome.level(unit)][0];
        let units = 0..self.knapsack.space.len();
        let alone: f64 = units.clone().map(|unit| of_unit(unit) * [0.5, 1.0, 3.0][unit % 3]).sum();
        let together: f64 = units.skip(1).map(|unit| (of_unit(unit) * of_unit(unit - 1)).sqrt()).sum();
        let hardness = 1.0 + 0.5 * ((chunk * 7919 % 13) as f64 / 13.0 - 0.5);
        let own =
            (genome.levels().iter().map(|&level| usize::from(level)).sum::<usize>() * 31 + chunk * 17) % 11;
        (alone + together) * hardness * (1.0 + 0.01 * own as f64)
    }
}

impl Evaluate for Truth<'_> {
    type Error = std::io::Error;

    fn chunks(&self) -> usize {
        self.chunks
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), std::io::Error> {
        tasks.par_iter().enumerate().for_each(|(index, task)| {
            if !interrupted() && self.measured.fetch_add(task.chunks.len(), Relaxed) < self.patience {
                let values: Vec<f64> =
                    task.chunks.clone().map(|chunk| self.value(&task.plan, chunk)).collect();
                done(index, &values);
            }
        });
        Ok(())
    }
}

impl Progress for Truth<'_> {
    fn report(&self, _: &Report) {}

    fn is_interrupted(&self) -> bool {
        self.measured.load(Relaxed) >= self.patience
    }
}
