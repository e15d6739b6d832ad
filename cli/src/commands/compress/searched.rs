//! The plan that a search finds, made ready to be carried out.

use secateur_compress::shape::Importance;
use secateur_model::{Checkpoint, Rounding};

use super::calibrated::{Known, Prepared, know, search_intent};
use super::shape::{Shaped, told};
use crate::arguments::CompressArguments;
use crate::commands::search::{AskedOfPlan, effort};
use crate::console::Bar;
use crate::plans::{PlanError, search};

/// True if the plan is to be searched: for a device, with nothing said that decides it. With a type, a device only judges.
pub fn is_searched(arguments: &CompressArguments) -> bool {
    let decided = arguments.tensor_type.is_some() || arguments.bits_per_weight.is_some();
    arguments.gates.profile.is_some() && !decided
}

/// What a plan is asked for.
fn asked(arguments: &CompressArguments) -> AskedOfPlan<'_> {
    let gates = &arguments.gates;
    AskedOfPlan {
        profiles: gates.profile.as_slice(),
        max_size: arguments.max_size,
        max_memory: gates.max_memory,
        min_decode: gates.min_decode,
        context: arguments.effort.context,
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
    let asked = asked(arguments);
    let (limits, devices) = asked.resolved()?;
    let effort = effort(&arguments.effort, seed);
    let (known, held_out) = know(&arguments.texts, arguments.tokens, &checkpoint, seed, progress)?;
    let Known { statistics, knowledge } = &known;
    let intent = search_intent(&asked, &arguments.texts, &known);
    let found =
        search(&checkpoint, (statistics, knowledge), &intent, (&limits, &devices), &effort, progress)?;
    for line in found.record.notes() {
        progress.note(&line);
    }
    let told = found
        .model
        .shape()
        .map(|shape| told(&checkpoint.spec, &found.model.spec, shape, Importance::Obs.name()));
    let shaped = Shaped {
        checkpoint: found.model,
        parent: found.is_cut.then_some(checkpoint),
        held_out: Vec::new(),
        repaired: found.repaired,
        told,
    };
    Ok((shaped, Prepared { plan: found.plan, held_out, knowledge: Some(known), importance: None }))
}

/// Options that decide what the search is to decide.
fn check(arguments: &CompressArguments) -> Result<(), PlanError> {
    let decided = [
        (!arguments.overrides.is_empty(), "--tensor-type"),
        (arguments.shape.are_given(), "--layers, --keep-layers, --heads or --ffn"),
        (arguments.imatrix.is_some(), "--imatrix"),
    ];
    if let Some(&(_, option)) = decided.iter().find(|(is_given, _)| *is_given) {
        return Err(PlanError::Decided { option });
    }
    match arguments.rounding {
        None | Some(Rounding::Full) => Ok(()),
        Some(other) => Err(PlanError::Rounding { found: other.to_string() }),
    }
}
