//! What can be chosen: the shape, the vocabulary, how keys and values are kept, and the type of every matrix.

use std::collections::BTreeMap;

use secateur_compress::allocation::{Choice, MatrixOptions, bytes_in_file};
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

/// The choices of a model.
pub(crate) struct Choices {
    pub space: Space,
    /// Of the whole model: unit `MATRICES + index` is the type of matrix `index`.
    pub matrices: Vec<MatrixOptions>,
    /// Of every shape and matrix, the matrix it became; nothing where its layer is gone.
    becomes: Vec<Vec<Option<TensorId>>>,
}

impl Choices {
    /// Any shape, any of so many vocabularies, any of so many caches, and any type that is legal in the whole model.
    pub fn new(
        shapes: &[Shape],
        vocabularies: usize,
        caches: usize,
        matrices: Vec<MatrixOptions>,
    ) -> Result<Self, SearchError> {
        let becomes: Vec<Vec<Option<TensorId>>> = shapes
            .iter()
            .map(|shape| matrices.iter().map(|matrix| becomes(shape, matrix.id)).collect())
            .collect();
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
            for shape in (0..shapes.len()).filter(|&shape| becomes[shape][index].is_none()) {
                unit = unit.silent_when(SHAPE, shape);
            }
            units.push(unit);
        }
        Ok(Self { space: Space::new(units)?, matrices, becomes })
    }

    /// What a matrix is in a model of a shape, whose sizes are `spec`, when its unit is at a level: its type there, its bytes, and its share of the
    /// damage. Nothing where its layer is gone.
    pub fn choice(
        &self,
        shape: usize,
        spec: &ModelSpec,
        matrix: usize,
        level: usize,
    ) -> Option<(TensorId, Choice)> {
        let id = self.becomes[shape][matrix]?;
        let options = &self.matrices[matrix].choices;
        let chosen = options[level];
        let dimensions = spec.shape(id)?;
        let (&row_len, rows) = (dimensions.last()?, dimensions[0]);
        // a narrower row may not fill the blocks of the type
        let tensor_type = fallback(chosen.tensor_type, row_len);
        let as_chosen = options.iter().find(|option| option.tensor_type == tensor_type);
        let bytes = bytes_in_file(tensor_type, rows, row_len)?;
        let damage = as_chosen.map_or(chosen.damage, |option| option.damage);
        Some((id, Choice { tensor_type, bytes, damage }))
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
        (0..self.matrices.len())
            .filter_map(|matrix| self.choice(shape, spec, matrix, level(matrix)))
            .collect()
    }
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
