//! What plans lose in truth: a model in the plan's shape and vocabulary, its matrices rounded to the plan's types, on sequences of tokens beside its parent.

use std::ops::Range;

use secateur_compress::CompressError;
use secateur_compress::progress::{Progress, Silent};
use secateur_model::Checkpoint;
use secateur_search::{Evaluate, Genome, Task};

use crate::Plans;
use crate::space::{CACHE, VOCABULARY};
use crate::yardstick::{Room, Scored, Yardstick};

/// Bytes of predictions of the whole model and of those with smaller vocabularies that are held together.
const HELD_BYTES: usize = 1 << 30;

/// Measures plans on sequences, in nats per token of the whole vocabulary, a chunk a sequence.
///
/// A plan with a smaller vocabulary is held against the parent with the same tokens, on the same text in these tokens; what the vocabulary itself
/// loses is added, the same for every sequence.
pub struct Measurer<'p, 'a> {
    plans: &'p Plans<'a>,
    sequences: usize,
    of_vocabularies: Vec<OfVocabulary>,
}

struct OfVocabulary {
    yardstick: Yardstick,
    /// Of each sequence, tokens for one of the whole vocabulary.
    tokens: Vec<f64>,
    loss: f64,
}

impl<'p, 'a> Measurer<'p, 'a> {
    /// Plans of a model on sequences of tokens of the whole model.
    ///
    /// # Errors
    /// If the text of a sequence cannot be spelled in a vocabulary.
    pub fn new(plans: &'p Plans<'a>, sequences: &[Vec<u32>], scored: Scored) -> Result<Self, CompressError> {
        let room = Room::new(HELD_BYTES);
        let of_vocabularies = (0..plans.vocabularies.all.len())
            .map(|level| OfVocabulary::new(plans, level, sequences, scored, &room))
            .collect::<Result<_, _>>()?;
        Ok(Self { plans, sequences: sequences.len(), of_vocabularies })
    }

    /// What a plan loses on some of the sequences.
    ///
    /// # Errors
    /// If its matrices cannot be read or rounded.
    pub fn measure(&self, plan: &Genome, sequences: Range<usize>) -> Result<Vec<f64>, CompressError> {
        self.divergences(plan, &self.plans.rounded_model(plan)?, sequences, &Silent)
    }

    /// How many sequences there are.
    pub(crate) fn sequences(&self) -> usize {
        self.sequences
    }

    /// What a model of a plan loses on some of the sequences, whichever way it was rounded.
    pub(crate) fn divergences(
        &self,
        plan: &Genome,
        model: &Checkpoint,
        sequences: Range<usize>,
        progress: &dyn Progress,
    ) -> Result<Vec<f64>, CompressError> {
        let of = &self.of_vocabularies[plan.level(VOCABULARY)];
        let cache = self.plans.caches[plan.level(CACHE)].chosen;
        let divergences = of.yardstick.divergences(model, cache, sequences.clone(), progress)?;
        Ok(divergences
            .iter()
            .zip(&of.tokens[sequences])
            .map(|(divergence, tokens)| of.loss + tokens * divergence)
            .collect())
    }
}

impl OfVocabulary {
    fn new(
        plans: &Plans,
        level: usize,
        sequences: &[Vec<u32>],
        scored: Scored,
        room: &Room,
    ) -> Result<Self, CompressError> {
        let (whole, vocabularies) = (plans.subject.whole, &plans.vocabularies);
        let mut spelled = vocabularies.spelled(level, sequences)?;
        let tokens = spelled
            .iter()
            .zip(sequences)
            .map(|(after, before)| after.len() as f64 / before.len().max(1) as f64)
            .collect();
        for sequence in &mut spelled {
            sequence.truncate(whole.spec.context_length);
        }
        let parent = vocabularies.applied(whole.clone(), level)?;
        let yardstick = Yardstick::new(parent, spelled, scored, room.clone());
        Ok(Self { yardstick, tokens, loss: vocabularies.all[level].loss })
    }
}

impl Evaluate for Measurer<'_, '_> {
    type Error = CompressError;

    fn chunks(&self) -> usize {
        self.sequences
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), CompressError> {
        // one after the other: the forward pass uses all cores
        for (index, task) in tasks.iter().enumerate() {
            if interrupted() {
                return Ok(());
            }
            done(index, &self.measure(&task.plan, task.chunks.clone())?);
        }
        Ok(())
    }
}
