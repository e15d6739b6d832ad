//! The plan that a search finds, made ready to be carried out.

use secateur_compress::CompressError;
use secateur_compress::shape::Importance;
use secateur_compress::statistics::SEQUENCE_TOKENS;
use secateur_compress::vocabulary::{VocabularyError, respell};
use secateur_model::plan::VocabularyPlan;
use secateur_model::{Checkpoint, Rounding};
use secateur_plans::{Searched, Subject};
use secateur_reports::compression::SmallerVocabulary;

use super::calibrated::{Known, Prepared, know, search_intent};
use super::shape::{Shaped, told};
use super::vocabulary::cut_to;
use crate::arguments::CompressArguments;
use crate::console::Bar;
use crate::searching::{AskedOfPlan, Target};

/// An option that does not go with a search.
#[derive(Debug, thiserror::Error)]
pub enum SearchedError {
    #[error("a search wants to write its plan with full rounding, not {found}; leave `--rounding` out")]
    Rounding { found: String },
    #[error("`{option}` decides what the search is to decide; leave it out, or leave `--profile` out")]
    Decided { option: &'static str },
}

/// True if the plan is to be searched: for a device, with nothing said that decides it. With a type, a device only judges.
pub fn is_searched(arguments: &CompressArguments) -> bool {
    let decided = arguments.tensor_type.is_some() || arguments.bits_per_weight.is_some();
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
        context: arguments.effort.context.min(checkpoint.spec.context_length),
    }
}

/// Searches, and gives the model in the shape and with the vocabulary that were found, with its plan.
pub fn search_plan(
    arguments: &CompressArguments,
    checkpoint: &Checkpoint,
    seed: u64,
    progress: &Bar,
) -> anyhow::Result<(Shaped, Prepared, Option<SmallerVocabulary>)> {
    check(arguments)?;
    let asked = asked(arguments, checkpoint);
    let target = Target::new(&asked, &arguments.effort, &arguments.texts, seed)?;
    let tokens = arguments.tokens.unwrap_or_else(|| arguments.effort.usual_tokens());
    let (known, held_out) = know(&arguments.texts, tokens, checkpoint, seed, progress)?;
    let intent = search_intent(&asked, &arguments.texts, &known);
    let Known { statistics, knowledge } = &known;
    let stages = target.stages();
    let subject = Subject { whole: checkpoint, statistics, knowledge, intent: &intent, stages };
    let found = target.search(subject, progress)?;
    let Searched { plan, model, parent, .. } = found.searched;
    let told = model.shape().map(|shape| told(&parent.spec, &model.spec, shape, Importance::Obs.name()));
    let (mut held_out, mut respelled, mut vocabulary) = (held_out, None, None);
    // else they were left out before the search, or all stay
    let left_out = model.kept_tokens().filter(|_| checkpoint.kept_tokens().is_none());
    if let Some(VocabularyPlan { kept, .. }) = left_out {
        let kept = kept.indices().to_vec();
        vocabulary = Some(cut_to(checkpoint, &parent, kept, &arguments.texts)?);
        let spelled = |sequences: &[Vec<u32>]| spelled(checkpoint, &parent, sequences);
        respelled = Some(spelled(known.statistics.sequences())?);
        for sequence in &mut held_out {
            sequence.tokens = spelled(std::slice::from_ref(&sequence.tokens))?.concat();
        }
    }
    let is_cut = model.shape().is_some();
    let shaped = Shaped {
        checkpoint: model,
        parent: is_cut.then_some(parent),
        held_out: Vec::new(),
        repaired: found.repaired,
        told,
        search: Some(found.record),
    };
    let prepared = Prepared { plan, held_out, knowledge: Some(known), respelled, importance: None };
    Ok((shaped, prepared, vocabulary))
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
        None | Some(Rounding::Full) => Ok(()),
        Some(other) => Err(SearchedError::Rounding { found: other.to_string() }),
    }
}
