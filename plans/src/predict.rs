//! What plans are predicted to lose and what they cost, as sums over matrices.

use secateur_search::{Costs, Genome, Prediction, Space, Surrogate};

use crate::bodies::{Bodies, number_of};
use crate::caches::Cache;
use crate::costs::Device;
use crate::space::{CACHE, Choices, MATRICES};

/// What a body with a cache costs before any matrix is counted, and what both lose by themselves.
#[derive(Debug, Clone)]
struct Base {
    damage: f64,
    costs: Vec<f64>,
}

/// Predicts plans as sums over their matrices: what each loses by itself, and what its bytes cost.
pub struct Predictor {
    quantities: Vec<String>,
    /// Of every body and cache.
    bases: Vec<Vec<Base>>,
    /// Of every body, matrix and level: damage, then costs.
    tables: Vec<Vec<Vec<Vec<f64>>>>,
    vocabularies: usize,
}

impl Predictor {
    pub(crate) fn new(choices: &Choices, bodies: &Bodies, caches: &[Cache], devices: &[Device]) -> Self {
        let mut quantities = vec!["bytes of model.gguf".to_owned()];
        quantities.extend(devices.iter().flat_map(Device::quantities));
        let (mut bases, mut tables) = (Vec::new(), Vec::new());
        for body in &bodies.all {
            let base = |cache: &Cache| {
                let mut costs = vec![body.rest as f64];
                for device in devices {
                    costs.extend(device.base(&body.spec, body.rest, cache.cache_type()));
                }
                Base { damage: body.loss + cache.loss, costs }
            };
            bases.push(caches.iter().map(base).collect());
            let entry = |matrix: usize, level: usize| {
                let of_unit = choices.choices(body.shape, &body.spec, matrix, level);
                let entries = of_unit.into_iter().map(|(id, choice)| {
                    let mut entry = vec![choice.damage, choice.bytes as f64];
                    let of_device =
                        |device: &Device| device.matrix(&body.spec, id, choice.tensor_type, choice.bytes);
                    entry.extend(devices.iter().flat_map(of_device));
                    entry
                });
                entries.reduce(sum).unwrap_or_default()
            };
            let levels = |matrix: usize| {
                (0..choices.matrices[matrix].choices.len()).map(|level| entry(matrix, level)).collect()
            };
            tables.push((0..choices.matrices.len()).map(levels).collect());
        }
        Self { quantities, bases, tables, vocabularies: bodies.vocabularies }
    }

    fn body(&self, genome: &Genome) -> usize {
        number_of(genome, self.vocabularies)
    }

    fn sums(&self, genome: &Genome) -> Vec<f64> {
        let body = self.body(genome);
        let base = &self.bases[body][genome.level(CACHE)];
        let mut sums = Vec::with_capacity(1 + base.costs.len());
        sums.push(base.damage);
        sums.extend(&base.costs);
        for (matrix, levels) in self.tables[body].iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(&levels[genome.level(MATRICES + matrix)]) {
                *sum += value;
            }
        }
        sums
    }
}

fn sum(a: Vec<f64>, b: Vec<f64>) -> Vec<f64> {
    a.into_iter().zip(b).map(|(a, b)| a + b).collect()
}

fn prediction(sums: &[f64]) -> Prediction {
    Prediction { damage: sums[0], costs: Costs::new(&sums[1..]) }
}

impl Surrogate for Predictor {
    /// Damage, then costs.
    type State = Vec<f64>;

    fn quantities(&self) -> &[String] {
        &self.quantities
    }

    fn state(&self, genome: &Genome) -> Vec<f64> {
        self.sums(genome)
    }

    fn predict(&self, genome: &Genome) -> Prediction {
        prediction(&self.sums(genome))
    }

    fn after_move(
        &self,
        space: &Space,
        genome: &Genome,
        state: &Vec<f64>,
        unit: usize,
        level: usize,
    ) -> Prediction {
        if unit < MATRICES {
            return self.predict(&space.with(genome, unit, level));
        }
        let levels = &self.tables[self.body(genome)][unit - MATRICES];
        let (before, after) = (&levels[genome.level(unit)], &levels[level]);
        let mut sums = [0.0; 1 + Costs::MOST];
        for (index, sum) in state.iter().enumerate() {
            let change = after.get(index).copied().unwrap_or(0.0) - before.get(index).copied().unwrap_or(0.0);
            sums[index] = sum + change;
        }
        prediction(&sums[..state.len()])
    }
}
