//! An invented language model: 30 layers that can be dropped, seven matrices in each with eight types. Its predictions are wrong in the ways that
//! real ones are: by a factor for each kind of matrix, and by what matrices of one layer do to each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use secateur_search::{Costs, Evaluate, Genome, Prediction, SearchError, Space, Surrogate, Task, Unit};

const LAYERS: usize = 30;
const KINDS: [(&str, f64); 7] =
    [("q", 1.0), ("k", 0.33), ("v", 0.33), ("o", 1.0), ("gate", 2.7), ("up", 2.7), ("down", 2.7)];
/// Units of a layer: whether it stays, and its matrices.
const STRIDE: usize = 1 + KINDS.len();
/// Bits per weight and relative error of each type.
const TYPES: [(f64, f64); 8] = [
    (8.5, 0.00002),
    (6.5625, 0.0003),
    (5.5, 0.0012),
    (4.5, 0.005),
    (4.25, 0.0065),
    (3.4375, 0.022),
    (2.5625, 0.085),
    (2.06, 0.19),
];
/// Weights of a matrix of relative size 1.
const WEIGHTS: f64 = 331_776.0;
const CHUNKS: usize = 64;

pub struct Model {
    pub space: Space,
    quantities: [String; 2],
    /// How much a unit's error counts, predicted: `[unit]`; for the unit of a layer itself, what dropping it loses.
    sensitivity: Vec<f64>,
    /// The same in truth, as a factor.
    factors: Vec<f64>,
}

impl Model {
    pub fn invent(seed: u64) -> Result<Self, SearchError> {
        let mut generator = SmallRng::seed_from_u64(seed);
        let mut units = Vec::new();
        let mut sensitivity = Vec::new();
        let mut factors = Vec::new();
        let of_kind: Vec<f64> = KINDS.map(|_| generator.gen_range(-1.0_f64..1.0).exp()).to_vec();
        for layer in 0..LAYERS {
            let end = if layer < 2 || layer + 2 > LAYERS { 6.0 } else { 1.0 };
            let gate = units.len();
            units.push(Unit::new(format!("layer {layer}"), "layer", 2));
            sensitivity.push(end * generator.gen_range(0.1..0.5));
            factors.push(generator.gen_range(-0.5_f64..0.5).exp());
            for (kind, (name, _)) in KINDS.iter().enumerate() {
                units.push(
                    Unit::new(format!("layer {layer} {name}"), *name, TYPES.len()).silent_when(gate, 1),
                );
                sensitivity.push(end * generator.gen_range(-1.5_f64..1.5).exp() * 0.2);
                factors.push(of_kind[kind] * generator.gen_range(-0.4_f64..0.4).exp());
            }
        }
        let quantities = ["bytes".to_owned(), "µs per token".to_owned()];
        Ok(Self { space: Space::new(units)?, quantities, sensitivity, factors })
    }

    /// Damage and bytes of one unit.
    fn unit(&self, unit: usize, level: usize) -> [f64; 2] {
        match unit % STRIDE {
            0 => [self.sensitivity[unit] * level as f64, 0.0],
            kind => {
                let (bits, error) = TYPES[level];
                [self.sensitivity[unit] * error, (KINDS[kind - 1].1 * WEIGHTS * bits / 8.0).floor()]
            }
        }
    }

    fn dropped(genome: &Genome, unit: usize) -> bool {
        !unit.is_multiple_of(STRIDE) && genome.level(unit - unit % STRIDE) == 1
    }

    fn prediction(damage: f64, bytes: f64) -> Prediction {
        Prediction { damage, costs: Costs::new(&[bytes, bytes / 9000.0 + 100.0]) }
    }

    /// Damage in truth: errors of a layer's matrices also meet each other.
    fn truth(&self, plan: &Genome) -> f64 {
        let mut damage = 0.0;
        for layer in 0..LAYERS {
            let units = layer * STRIDE..(layer + 1) * STRIDE;
            let alive = units.filter(|&unit| !Self::dropped(plan, unit));
            let losses: Vec<f64> =
                alive.map(|unit| self.unit(unit, plan.level(unit))[0] * self.factors[unit]).collect();
            let roots: f64 = losses.iter().map(|loss| loss.sqrt()).sum();
            damage += losses.iter().sum::<f64>() + 0.1 * roots * roots;
        }
        damage
    }

    /// On one chunk of a text: chunks differ in how hard they are, and each has its own liking for plans.
    fn value(&self, plan: &Genome, chunk: usize) -> f64 {
        let mut chunk_of_plan = SmallRng::seed_from_u64(chunk as u64);
        let hardness = chunk_of_plan.gen_range(0.6..1.4);
        let levels = plan.levels().iter().map(|&level| u64::from(level));
        let hash = levels
            .fold(chunk as u64, |hash, level| hash.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(level));
        self.truth(plan) * hardness * SmallRng::seed_from_u64(hash).gen_range(0.95..1.05)
    }

    /// Mean over more chunks than any search sees.
    pub fn held_out(&self, plan: &Genome) -> f64 {
        (CHUNKS..CHUNKS + 1000).map(|chunk| self.value(plan, chunk)).sum::<f64>() / 1000.0
    }
}

impl Surrogate for Model {
    /// Damage and bytes.
    type State = [f64; 2];

    fn quantities(&self) -> &[String] {
        &self.quantities
    }

    fn state(&self, genome: &Genome) -> [f64; 2] {
        let alive = (0..self.space.len()).filter(|&unit| !Self::dropped(genome, unit));
        alive
            .map(|unit| self.unit(unit, genome.level(unit)))
            .fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]])
    }

    fn predict(&self, genome: &Genome) -> Prediction {
        let [damage, bytes] = self.state(genome);
        Self::prediction(damage, bytes)
    }

    fn after_move(
        &self,
        _: &Space,
        genome: &Genome,
        state: &[f64; 2],
        unit: usize,
        level: usize,
    ) -> Prediction {
        let (from, to) = (self.unit(unit, genome.level(unit)), self.unit(unit, level));
        Self::prediction(state[0] - from[0] + to[0], state[1] - from[1] + to[1])
    }
}

impl Evaluate for Model {
    type Error = std::io::Error;

    fn chunks(&self) -> usize {
        CHUNKS
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        _: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), std::io::Error> {
        tasks.par_iter().enumerate().for_each(|(index, task)| {
            let values: Vec<f64> = task.chunks.clone().map(|chunk| self.value(&task.plan, chunk)).collect();
            done(index, &values);
        });
        Ok(())
    }
}

/// Counts what is asked of a model.
pub struct Counting<'m> {
    pub model: &'m Model,
    pub predictions: AtomicU64,
}

impl Surrogate for Counting<'_> {
    type State = [f64; 2];

    fn quantities(&self) -> &[String] {
        self.model.quantities()
    }

    fn state(&self, genome: &Genome) -> [f64; 2] {
        self.model.state(genome)
    }

    fn predict(&self, genome: &Genome) -> Prediction {
        self.predictions.fetch_add(1, Relaxed);
        self.model.predict(genome)
    }

    fn after_move(
        &self,
        space: &Space,
        genome: &Genome,
        state: &[f64; 2],
        unit: usize,
        level: usize,
    ) -> Prediction {
        self.predictions.fetch_add(1, Relaxed);
        self.model.after_move(space, genome, state, unit, level)
    }
}
