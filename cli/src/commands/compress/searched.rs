//! The plan that a search finds, made ready to be carried out.

use secateur_compress::shape::Importance;
use secateur_model::{Checkpoint, Rounding};
use secateur_plans::{Searched, Subject};

use super::calibrated::{Known, Prepared, know, search_intent};
use super::shape::{Shaped, told};
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

/// Searches, and gives the model in the shape that was found with its plan.
pub fn search_plan(
    arguments: &CompressArguments,
    checkpoint: Checkpoint,
    seed: u64,
    progress: &Bar,
) -> anyhow::Result<(Shaped, Prepared)> {
    check(arguments)?;
    let asked = asked(arguments, &checkpoint);
    let target = Target::new(&asked, &arguments.effort, seed)?;
    let tokens = arguments.tokens.unwrap_or_else(|| arguments.effort.usual_tokens());
    let (known, held_out) = know(&arguments.texts, tokens, &checkpoint, seed, progress)?;
    let intent = search_intent(&asked, &arguments.texts, &known);
    let Known { statistics, knowledge } = &known;
    let found =
        target.search(Subject { whole: &checkpoint, statistics, knowledge, intent: &intent }, progress)?;
    let Searched { plan, model, is_cut, .. } = found.searched;
    let told = model.shape().map(|shape| told(&checkpoint.spec, &model.spec, shape, Importance::Obs.name()));
    let shaped = Shaped {
        checkpoint: model,
        parent: is_cut.then_some(checkpoint),
        held_out: Vec::new(),
        repaired: found.repaired,
        told,
        search: Some(found.record),
    };
    Ok((shaped, Prepared { plan, held_out, knowledge: Some(known), importance: None }))
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
