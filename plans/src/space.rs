//! What can be chosen: the shape, the vocabulary, how keys and values are kept, and the type of every matrix.

use std::collections::BTreeMap;

use secateur_compress::allocation::{Choice, MatrixOptions, bytes_of_joined};
use secateur_model::types::fallback;
use secateur_model::{ModelSpec, TensorId};
use secateur_search::{Genome, SearchError, Space, Unit};

use crate::shapes::Shape;

/// The unit that is the shape.
pub(crate) const SHAPE: usize = 0;

/// The unit that is the vocabulary.
pub(crate) const VOCABULARY: usize = 1;

/// The unit that is how keys and values are kept.
pub(crate) const CACHE: usize = 2;

/// The unit that is the type of the first matrix; the others come after it.
pub(crate) const MATRICES: usize = 3;

/// A matrix of the whole model, by number, and what it became in a shape.
struct Decided {
    matrix: usize,
    id: TensorId,
}

/// The choices of a model.
pub(crate) struct Choices {
    pub space: Space,
    /// Of the whole model: unit `MATRICES + index` is the type of matrix `index`. Where a shape's file has it as one with others, the unit of the first
    /// of these is the type of all.
    pub matrices: Vec<MatrixOptions>,
    /// Of every shape and unit, the matrices whose type it is.
    decided: Vec<Vec<Vec<Decided>>>,
}

impl Choices {
    /// Any shape, any of so many vocabularies, any of so many caches, and any type that is legal in the whole model.
    pub fn new(
        shapes: &[Shape],
        vocabularies: usize,
        caches: usize,
        matrices: Vec<MatrixOptions>,
    ) -> Result<Self, SearchError> {
        let decided: Vec<Vec<Vec<Decided>>> = shapes.iter().map(|shape| decided(shape, &matrices)).collect();
        let mut units = vec![
            Unit::new("shape", "shape", shapes.len()),
            Unit::new("vocabulary", "vocabulary", vocabularies),
            Unit::new("cache", "cache", caches),
        ];
        for (index, matrix) in matrices.iter().enumerate() {
            let name = match matrix.id.layer {
                Some(layer) => format!("type of {:?} {layer}", matrix.id.role),
                None => format!("type of {:?}", matrix.id.role),
            };
            let kind = format!("type of {:?}", matrix.id.role);
            let mut unit = Unit::new(name, kind, matrix.choices.len());
            for shape in (0..shapes.len()).filter(|&shape| decided[shape][index].is_empty()) {
                unit = unit.silent_when(SHAPE, shape);
            }
            units.push(unit);
        }
        Ok(Self { space: Space::new(units)?, matrices, decided })
    }

    /// What the matrices are whose type a unit is, in a model of a shape, whose sizes are `spec`, when the unit is at a level: the type, their bytes, and
    /// their shares of the damage. None where their layer is gone, or where another unit is their type.
    pub fn choices(
        &self,
        shape: usize,
        spec: &ModelSpec,
        unit: usize,
        level: usize,
    ) -> Vec<(TensorId, Choice)> {
        let decided = &self.decided[shape][unit];
        let shapes: Vec<Vec<usize>> = decided.iter().filter_map(|one| spec.shape(one.id)).collect();
        let rows: Vec<usize> = shapes.iter().map(|shape| shape[0]).collect();
        let Some(&row_len) = shapes.first().and_then(|shape| shape.last()) else { return Vec::new() };
        let chosen = self.matrices[unit].choices[level];
        // a narrower row may not fill the blocks of the type
        let tensor_type = fallback(chosen.tensor_type, row_len);
        // what falls back is legal
        let bytes = bytes_of_joined(tensor_type, &rows, row_len).unwrap_or_default();
        let choice = |(one, bytes): (&Decided, u64)| {
            let options = &self.matrices[one.matrix].choices;
            let as_chosen = options.iter().find(|option| option.tensor_type == tensor_type);
            let damage = as_chosen.map_or(chosen.damage, |option| option.damage);
            (one.id, Choice { tensor_type, bytes, damage })
        };
        decided.iter().zip(bytes).map(choice).collect()
    }

    /// What each matrix of a plan is, whose sizes are `spec`.
    pub fn of_plan(&self, spec: &ModelSpec, genome: &Genome) -> BTreeMap<TensorId, Choice> {
        self.of_levels(spec, genome.level(SHAPE), |matrix| genome.level(MATRICES + matrix))
    }

    /// What each matrix of a model of a shape, whose sizes are `spec`, is in its first type.
    pub fn of_body(&self, spec: &ModelSpec, shape: usize) -> BTreeMap<TensorId, Choice> {
        self.of_levels(spec, shape, |_| 0)
    }

    fn of_levels(
        &self,
        spec: &ModelSpec,
        shape: usize,
        level: impl Fn(usize) -> usize,
    ) -> BTreeMap<TensorId, Choice> {
        (0..self.matrices.len()).flat_map(|unit| self.choices(shape, spec, unit, level(unit))).collect()
    }
}

/// Of each unit, the matrices whose type it is in a shape: its own, if that is there, and those that are one with it in the file.
fn decided(shape: &Shape, matrices: &[MatrixOptions]) -> Vec<Vec<Decided>> {
    let table = shape.spec.family.table();
    let there: BTreeMap<TensorId, usize> = matrices
        .iter()
        .enumerate()
        .filter_map(|(matrix, options)| Some((becomes(shape, options.id)?, matrix)))
        .collect();
    let of_unit = |options: &MatrixOptions| -> Vec<Decided> {
        let Some(id) = becomes(shape, options.id) else { return Vec::new() };
        let joined = table.joined(id);
        if joined[0] != id {
            return Vec::new();
        }
        joined.into_iter().filter_map(|id| Some(Decided { matrix: *there.get(&id)?, id })).collect()
    };
    matrices.iter().map(of_unit).collect()
}

/// The matrix of the smaller model that a matrix of the whole one becomes.
fn becomes(shape: &Shape, id: TensorId) -> Option<TensorId> {
    match (&shape.plan, id.layer) {
        (Some(plan), Some(layer)) => {
            let new = plan.layers.iter().position(|kept| kept.layer == layer)?;
            Some(TensorId::in_layer(new, id.role))
        }
        _ => Some(id),
    }
}
