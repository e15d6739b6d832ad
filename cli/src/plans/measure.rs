//! What plans lose in truth: a model in the plan's shape, its matrices rounded to the plan's types, on sequences of tokens beside its parent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use secateur_compress::forward::{Forward, ForwardError, Hidden, NoTaps, Residency};
use secateur_compress::measure::mean_divergence;
use secateur_compress::progress::Silent;
use secateur_compress::rounding::Importance;
use secateur_compress::{CompressError, quantize_tensor};
use secateur_model::{Checkpoint, HeldTensor, Role, TensorId, TensorType};
use secateur_search::{Evaluate, Task};

use super::shapes::Shapes;
use super::space::Choices;

/// A rounded matrix: of which shape, which, in what type.
type Key = (usize, TensorId, TensorType);

/// Measures plans.
pub struct Measurer<'a> {
    shapes: &'a Shapes<'a>,
    choices: &'a Choices,
    /// `E[x²]` of what each matrix of the whole model reads.
    importance: Importance,
    sequences: &'a [Vec<u32>],
    parent: Forward<'a>,
    /// Of each sequence, the parent's last hidden states.
    seen_by_parent: Vec<Hidden>,
    rounded: Mutex<BTreeMap<Key, Arc<[u8]>>>,
}

/// Why a plan cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error("a plan cannot be measured: {0:#}")]
pub struct MeasureFailure(pub anyhow::Error);

impl<'a> Measurer<'a> {
    /// Takes the parent through the sequences once.
    pub fn new(
        shapes: &'a Shapes<'a>,
        choices: &'a Choices,
        importance: Importance,
        sequences: &'a [Vec<u32>],
    ) -> Result<Self, CompressError> {
        let parent = Forward::new(shapes.whole, Residency::Stream)?;
        let seen_by_parent = pass(&parent, sequences)?;
        let rounded = Mutex::new(BTreeMap::new());
        Ok(Self { shapes, choices, importance, sequences, parent, seen_by_parent, rounded })
    }

    /// How far a model is from the parent on some sequences, in nats per token: the second half of each is judged.
    pub fn divergences(
        &self,
        model: &Checkpoint,
        sequences: std::ops::Range<usize>,
    ) -> Result<Vec<f64>, CompressError> {
        let child = Forward::new(model, Residency::Stream)?;
        let seen = pass(&child, &self.sequences[sequences.clone()])?;
        let vocabulary_size = model.spec.vocabulary_size;
        let of = |(index, child_hidden): (usize, &Hidden)| {
            let parent_hidden = &self.seen_by_parent[index];
            let judged = child_hidden.tokens() / 2..child_hidden.tokens();
            let of_parent = self.parent.logits(parent_hidden, judged.clone())?;
            let of_child = child.logits(child_hidden, judged)?;
            Ok(mean_divergence(&of_parent, &of_child, vocabulary_size))
        };
        sequences.zip(&seen).map(of).collect()
    }

    /// The model of a plan, its matrices rounded by importance.
    fn model(&self, task: &Task) -> anyhow::Result<Checkpoint> {
        let (shape, types) = self.choices.types(&self.shapes.all, &task.plan);
        let model = self.shapes.model(shape)?;
        let held = types
            .into_iter()
            .map(|(id, tensor_type)| {
                let bytes = self.rounded(model, (shape, id, tensor_type))?;
                Ok(HeldTensor { id, tensor_type, bytes })
            })
            .collect::<Result<Vec<_>, CompressError>>()?;
        Ok(model.clone().with_held(held)?)
    }

    fn rounded(&self, model: &Checkpoint, key: Key) -> Result<Arc<[u8]>, CompressError> {
        let held = |rounded: &Mutex<BTreeMap<Key, Arc<[u8]>>>| {
            // whoever panicked left the map whole: entries are inserted complete
            rounded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned()
        };
        if let Some(bytes) = held(&self.rounded) {
            return Ok(bytes);
        }
        let (shape, id, tensor_type) = key;
        let rows = model.tensor(id)?;
        let mut values = vec![0.0; rows.rows() * rows.row_len()];
        rows.read(0..rows.rows(), &mut values)?;
        let importance = self.importance_of(shape, id, rows.row_len());
        let bytes: Arc<[u8]> = quantize_tensor(tensor_type, &values, rows.row_len(), importance.as_deref())
            .map_err(|source| CompressError::Quantize { tensor: format!("{id:?}"), source })?
            .into();
        self.rounded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(key, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// `E[x²]` of what a matrix of a shape reads: of the inputs that stay.
    fn importance_of(&self, shape: usize, id: TensorId, width: usize) -> Option<Vec<f32>> {
        let plan = self.shapes.all[shape].plan.as_ref();
        let kept = plan.zip(id.layer).map(|(plan, layer)| &plan.layers[layer]);
        let before = kept.map_or(id, |kept| TensorId::in_layer(kept.layer, id.role));
        let importance = self.importance.get(&before)?;
        let of_channels = kept.and_then(|kept| kept.ffn.as_ref()).filter(|_| id.role == Role::FfnDown);
        let importance: Vec<f32> = match of_channels {
            Some(channels) => channels.indices().iter().map(|&index| importance[index as usize]).collect(),
            None => importance.clone(),
        };
        (importance.len() == width).then_some(importance)
    }
}

fn pass(model: &Forward, sequences: &[Vec<u32>]) -> Result<Vec<Hidden>, ForwardError> {
    let mut hidden = sequences.iter().map(|sequence| model.embed(sequence)).collect::<Result<Vec<_>, _>>()?;
    model.run_layers(&mut hidden, &mut NoTaps, &Silent)?;
    Ok(hidden)
}

impl Evaluate for Measurer<'_> {
    type Error = MeasureFailure;

    fn chunks(&self) -> usize {
        self.sequences.len()
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), MeasureFailure> {
        // one after the other: the forward pass uses all cores
        for (index, task) in tasks.iter().enumerate() {
            if interrupted() {
                return Ok(());
            }
            let model = self.model(task).map_err(MeasureFailure)?;
            let values = self
                .divergences(&model, task.chunks.clone())
                .map_err(|error| MeasureFailure(error.into()))?;
            done(index, &values);
        }
        Ok(())
    }
}
