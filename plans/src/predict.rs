//! What plans are predicted to lose and what they cost, as sums over matrices.

use secateur_search::{Costs, Genome, Prediction, Space, Surrogate};

use crate::costs::Device;
use crate::shapes::Shape;
use crate::space::{Choices, SHAPE};

/// What a shape costs before any matrix is counted, and what it loses by itself.
#[derive(Debug, Clone)]
struct Base {
    damage: f64,
    costs: Vec<f64>,
}

/// Predicts plans as sums over their matrices: what each loses by itself, and what its bytes cost.
pub struct Predictor {
    quantities: Vec<String>,
    bases: Vec<Base>,
    /// Of every shape, matrix and level: damage, then costs.
    tables: Vec<Vec<Vec<Vec<f64>>>>,
}

impl Predictor {
    /// `damages` are what the shapes lose by themselves, `rests` the bytes of their files that are no matrices.
    pub(crate) fn new(
        choices: &Choices,
        shapes: &[Shape],
        damages: &[f64],
        rests: &[u64],
        devices: &[Device],
    ) -> Self {
        let mut quantities = vec!["bytes of model.gguf".to_owned()];
        quantities.extend(devices.iter().flat_map(Device::quantities));
        let base = |shape: usize| {
            let rest = rests[shape];
            let mut costs = vec![rest as f64];
            for device in devices {
                costs.extend(device.base(&shapes[shape].spec, rest));
            }
            Base { damage: damages[shape], costs }
        };
        let entry = |shape: usize, matrix: usize, level: usize| {
            let spec = &shapes[shape].spec;
            let Some((id, choice)) = choices.choice(shape, spec, matrix, level) else { return Vec::new() };
            let mut entry = vec![choice.damage, choice.bytes as f64];
            entry.extend(
                devices.iter().flat_map(|device| device.matrix(spec, id, choice.tensor_type, choice.bytes)),
            );
            entry
        };
        let levels = |shape: usize, matrix: usize| {
            (0..choices.matrices[matrix].choices.len()).map(|level| entry(shape, matrix, level)).collect()
        };
        let table = |shape: usize| (0..choices.matrices.len()).map(|matrix| levels(shape, matrix)).collect();
        Self {
            quantities,
            bases: (0..shapes.len()).map(base).collect(),
            tables: (0..shapes.len()).map(table).collect(),
        }
    }

    fn sums(&self, genome: &Genome) -> Vec<f64> {
        let shape = genome.level(SHAPE);
        let base = &self.bases[shape];
        let mut sums = Vec::with_capacity(1 + base.costs.len());
        sums.push(base.damage);
        sums.extend(&base.costs);
        for (matrix, levels) in self.tables[shape].iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(&levels[genome.level(1 + matrix)]) {
                *sum += value;
            }
        }
        sums
    }
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
        if unit == SHAPE {
            return self.predict(&space.with(genome, unit, level));
        }
        let levels = &self.tables[genome.level(SHAPE)][unit - 1];
        let (before, after) = (&levels[genome.level(unit)], &levels[level]);
        let mut sums = [0.0; 1 + Costs::MOST];
        for (index, sum) in state.iter().enumerate() {
            let change = after.get(index).copied().unwrap_or(0.0) - before.get(index).copied().unwrap_or(0.0);
            sums[index] = sum + change;
        }
        prediction(&sums[..state.len()])
    }
}
