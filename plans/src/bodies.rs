//! Models before the types of their matrices are chosen: each shape with each vocabulary.

use std::collections::BTreeMap;

use secateur_compress::allocation::Choice;
use secateur_compress::{CompressError, Intent, plan_choices};
use secateur_model::{Checkpoint, ModelSpec, TensorId};
use secateur_search::Genome;

use crate::shapes::Shapes;
use crate::space::{Choices, SHAPE, VOCABULARY};
use crate::vocabularies::Vocabularies;

/// What repair leaves of what a shape loses, until that is measured: about half (docs/shapes.md).
const LEFT_BY_REPAIR: f64 = 0.5;

/// A shape with a vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// The level of the unit that is the shape.
    pub shape: usize,
    /// The level of the unit that is the vocabulary.
    pub vocabulary: usize,
    /// In words.
    pub name: String,
    /// The sizes it has.
    pub spec: ModelSpec,
    /// What it is predicted to lose by itself, in nats per token.
    pub loss: f64,
    /// Bytes of its file that belong to no matrix.
    pub rest: u64,
}

/// All bodies of a model.
pub(crate) struct Bodies {
    /// Vocabularies of the first shape, then of the second, and so on.
    pub all: Vec<Body>,
    pub vocabularies: usize,
}

impl Bodies {
    pub fn new(
        shapes: &Shapes,
        vocabularies: &Vocabularies,
        choices: &Choices,
        intent: &Intent,
    ) -> Result<Self, CompressError> {
        let mut all = Vec::with_capacity(shapes.all.len() * vocabularies.all.len());
        for (number, shape) in shapes.all.iter().enumerate() {
            let bare = shapes.bare(number)?;
            for (level, vocabulary) in vocabularies.all.iter().enumerate() {
                let model = vocabularies.applied(bare.clone(), level)?;
                let matrices = choices.of_body(&model.spec, number);
                let mut name = shape.name.clone();
                if level > 0 {
                    let whole = vocabularies.all[0].size;
                    name = format!("{name}, {} of {whole} tokens", vocabulary.size);
                }
                all.push(Body {
                    shape: number,
                    vocabulary: level,
                    name,
                    loss: LEFT_BY_REPAIR * shape.loss + vocabulary.loss,
                    rest: rest(&model, &matrices, intent)?,
                    spec: model.spec,
                });
            }
        }
        Ok(Self { all, vocabularies: vocabularies.all.len() })
    }

    /// The body of a plan.
    pub fn of(&self, genome: &Genome) -> &Body {
        &self.all[self.number_of(genome)]
    }

    /// Its number among all.
    pub fn number_of(&self, genome: &Genome) -> usize {
        number_of(genome, self.vocabularies)
    }
}

/// The number of a plan's body where there are so many vocabularies.
pub(crate) fn number_of(genome: &Genome, vocabularies: usize) -> usize {
    genome.level(SHAPE) * vocabularies + genome.level(VOCABULARY)
}

/// Bytes of a file that belong to no matrix.
fn rest(
    model: &Checkpoint,
    matrices: &BTreeMap<TensorId, Choice>,
    intent: &Intent,
) -> Result<u64, CompressError> {
    let bytes: u64 = matrices.values().map(|choice| choice.bytes).sum();
    Ok(plan_choices(model, matrices, intent)?.gguf_bytes.saturating_sub(bytes))
}
