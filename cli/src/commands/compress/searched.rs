//! The plan that a search finds, made ready to be carried out.

use std::rc::Rc;

use secateur_compress::CompressError;
use secateur_compress::rounding::RoundedStore;
use secateur_compress::shape::Importance;
use secateur_compress::statistics::{SEQUENCE_TOKENS, Sequence};
use secateur_compress::vocabulary::{VocabularyError, respell};
use secateur_model::{Checkpoint, Rounding};
use secateur_plans::{Finalist, Subject};
use secateur_reports::compression::SmallerVocabulary;
use secateur_search::Candidate;

use super::calibrated::{Calibration, Known, Prepared, know, search_intent};
use super::finals::{Contender, best};
use super::shape::{Shaped, told};
use super::vocabulary::cut_to;
use crate::arguments::CompressArguments;
use crate::console::Bar;
use crate::searching::{AskedOfPlan, Found, Target};

/// An option that does not go with a search.
#[derive(Debug, thiserror::Error)]
pub enum SearchedError {
    #[error("a search writes its plan with full or gptq rounding, not {found}; leave `--rounding` out")]
    Rounding { found: String },
    #[error("`{option}` decides what the search is to decide; leave it out, or leave `--profile` out")]
    Decided { option: &'static str },
}

/// True if the plan is to be searched: for a device, with nothing said that decides it. With a type, a device only judges.
pub fn is_searched(arguments: &CompressArguments) -> bool {
    let decided = arguments.types().is_some() || arguments.bits_per_weight.is_some();
    arguments.gates.profile.is_some() && !decided
}

/// What a plan is asked for.
fn asked<'a>(arguments: &'a CompressArguments, checkpoint: &Checkpoint) -> AskedOfPlan<'a> {
    let gates = &arguments.gates;
    AskedOfPlan {
        profiles: gates.profile.as_slice(),
        max_size: arguments.max_size,
        max_memory: gates.max_memory,
        min_decode: gates.min_decode,
        min_prefill: gates.min_prefill,
        max_energy: gates.max_energy,
        context: arguments.effort.context.min(checkpoint.spec.context_length),
        rounding: arguments.rounding.unwrap_or_else(|| arguments.effort.search.rounding()),
    }
}

/// What a search leaves to be written.
pub struct ToWrite {
    pub shaped: Shaped,
    pub prepared: Prepared,
    /// The smaller vocabulary, if it was the search that chose it.
    pub vocabulary: Option<SmallerVocabulary>,
    /// Its matrices, if they had to be rounded to choose it.
    pub rounded: Option<RoundedStore>,
}

/// Searches, and gives the model in the shape and with the vocabulary that were found, with its plan.
pub fn search_plan(
    arguments: &CompressArguments,
    checkpoint: &Checkpoint,
    seed: u64,
    progress: &Bar,
) -> anyhow::Result<ToWrite> {
    check(arguments)?;
    let asked = asked(arguments, checkpoint);
    let target = Target::new(&asked, &arguments.effort, &arguments.texts, seed)?;
    let tokens = arguments.tokens.unwrap_or_else(|| arguments.effort.usual_tokens());
    let channels = target.stages().channels(&checkpoint.spec)?;
    let calibration = Calibration { texts: &arguments.texts, tokens, seed, channels };
    let (known, held_out) = know(&calibration, checkpoint, progress)?;
    let known = Rc::new(known);
    let intent = search_intent(&asked, &arguments.texts, &known);
    let Known { statistics, knowledge } = known.as_ref();
    let stages = target.stages();
    let subject = Subject { whole: checkpoint, statistics, knowledge, intent: &intent, stages };
    let plans = target.plans(subject, progress)?;
    let Found { searched, mut record } = target.search(&plans, progress)?;
    let contender =
        |candidate: Candidate| contender(checkpoint, plans.finalist(candidate)?, &known, &held_out);
    let first = contender(searched.chosen)?;
    let is_written = arguments.out.is_some() && !arguments.dry_run;
    let (Contender { finalist, prepared }, rounded) =
        if !is_written || searched.rivals.is_empty() || held_out.is_empty() {
            (first, None)
        } else {
            let rivals = searched.rivals.into_iter().map(contender).collect::<anyhow::Result<_>>()?;
            let sequences: Vec<Vec<u32>> = held_out.iter().map(|sequence| sequence.tokens.clone()).collect();
            best(first, rivals, &plans, &sequences, &mut record, progress)?
        };
    let Finalist { model, parent, .. } = finalist;
    let told = model.shape().map(|shape| told(&parent.spec, &model.spec, shape, Importance::Obs.name()));
    let vocabulary = match smaller_vocabulary(checkpoint, &model) {
        Some(kept) => Some(cut_to(checkpoint, &parent, kept, &arguments.texts, progress)?),
        None => None,
    };
    let shaped = Shaped {
        parent: model.shape().is_some().then_some(parent),
        checkpoint: model,
        held_out: Vec::new(),
        repaired: plans.repaired(),
        told,
        search: Some(record),
    };
    Ok(ToWrite { shaped, prepared, vocabulary, rounded })
}

/// A finalist, and what it takes to round it.
fn contender(
    checkpoint: &Checkpoint,
    finalist: Finalist,
    known: &Rc<Known>,
    held_out: &[Sequence],
) -> anyhow::Result<Contender> {
    let (mut held_out, mut respelled) = (held_out.to_vec(), None);
    if smaller_vocabulary(checkpoint, &finalist.model).is_some() {
        let spelled = |sequences: &[Vec<u32>]| spelled(checkpoint, &finalist.parent, sequences);
        respelled = Some(spelled(known.statistics.sequences())?);
        for sequence in &mut held_out {
            sequence.tokens = spelled(std::slice::from_ref(&sequence.tokens))?.concat();
        }
    }
    let (plan, knowledge) = (finalist.plan.clone(), Some(Rc::clone(known)));
    let prepared = Prepared { plan, held_out, knowledge, respelled, importance: None };
    Ok(Contender { finalist, prepared })
}

/// The tokens that a search has kept; nothing if others were left out before it, or all stay.
fn smaller_vocabulary(checkpoint: &Checkpoint, model: &Checkpoint) -> Option<Vec<u32>> {
    let kept = model.changed_tokens().filter(|_| checkpoint.changed_tokens().is_none())?;
    Some(kept.kept.indices().to_vec())
}

/// Sequences of the whole model in the tokens of one with fewer, as long as sequences may be.
fn spelled(
    whole: &Checkpoint,
    smaller: &Checkpoint,
    sequences: &[Vec<u32>],
) -> Result<Vec<Vec<u32>>, CompressError> {
    let (Some(before), Some(after)) = (&whole.tokenizer, &smaller.tokenizer) else {
        return Ok(sequences.to_vec());
    };
    let mut spelled = respell(before, after, sequences).map_err(VocabularyError::from)?;
    let longest = SEQUENCE_TOKENS.min(smaller.spec.context_length);
    spelled.iter_mut().for_each(|sequence| sequence.truncate(longest));
    Ok(spelled)
}

/// Options that decide what the search is to decide.
fn check(arguments: &CompressArguments) -> Result<(), SearchedError> {
    let decided = [
        (!arguments.overrides.is_empty(), "--tensor-type"),
        (arguments.shape.are_given(), "--layers, --keep-layers, --heads or --ffn"),
        (arguments.imatrix.is_some(), "--imatrix"),
    ];
    if let Some(&(_, option)) = decided.iter().find(|(is_given, _)| *is_given) {
        return Err(SearchedError::Decided { option });
    }
    match arguments.rounding {
        None | Some(Rounding::Gptq | Rounding::Full) => Ok(()),
        Some(other) => Err(SearchedError::Rounding { found: other.to_string() }),
    }
}
