//! From a budget for the file to a plan.

use std::collections::BTreeMap;

use secateur_model::plan::Plan;
use secateur_model::types::{Override, fallback, named};
use secateur_model::{Checkpoint, TensorId};

use super::joined::Joined;
use super::solving::after_solving;
use super::{AllocationError, Choice, MatrixOptions, cheapest};
use crate::CompressError;
use crate::planning::{Intent, plan_choices};

/// The plan that loses least with a file of at most `budget` bytes. Matrices that an override names get that type.
///
/// # Errors
/// If no choice is small enough, or the tensors cannot be laid out as GGUF.
pub fn allocate(
    checkpoint: &Checkpoint,
    options: &[MatrixOptions],
    overrides: &[Override],
    budget: u64,
    intent: &Intent,
) -> Result<Plan, CompressError> {
    let options =
        with_overrides(checkpoint, &after_solving(options, &checkpoint.spec, intent.rounding), overrides);
    let joined = Joined::of(&checkpoint.spec, &options);
    let options: Vec<MatrixOptions> = joined.iter().map(Joined::together).collect();
    let plan_of = |chosen: &[usize]| -> Result<Plan, CompressError> {
        let choices: BTreeMap<TensorId, Choice> =
            joined.iter().zip(chosen).flat_map(|(joined, &index)| joined.choices(index)).collect();
        plan_choices(checkpoint, &choices, intent)
    };
    // all that is not a matrix: the difference between a file and its matrices
    let first: Vec<usize> = options.iter().map(|_| 0).collect();
    let matrices: u64 = options.iter().map(|matrix| matrix.choices[0].bytes).sum();
    let rest = plan_of(&first)?.gguf_bytes.saturating_sub(matrices);
    let chosen =
        cheapest(&options, budget.saturating_sub(rest)).map_err(|error| with_rest(error, rest, budget))?;
    plan_of(&chosen)
}

/// A matrix that is named has one choice: the type, or what takes its place for rows of that length.
fn with_overrides(
    checkpoint: &Checkpoint,
    options: &[MatrixOptions],
    overrides: &[Override],
) -> Vec<MatrixOptions> {
    let table = checkpoint.spec.family.table();
    let mut options = options.to_vec();
    for matrix in &mut options {
        let name = table.gguf_name(matrix.id).unwrap_or_default();
        let row_len = checkpoint.spec.shape(matrix.id).and_then(|shape| shape.last().copied()).unwrap_or(1);
        if let Some(asked) = named(overrides, &name) {
            let given = fallback(asked, row_len);
            matrix.choices.retain(|choice| choice.tensor_type == given);
            if matrix.choices.is_empty() {
                // a float type that costs too much to be offered: it loses nothing
                let row_bytes = given.row_bytes(row_len).unwrap_or_default() as u64;
                let rows = checkpoint.spec.shape(matrix.id).map_or(0, |shape| shape[0] as u64);
                matrix.choices.push(Choice { tensor_type: given, bytes: rows * row_bytes, damage: 0.0 });
            }
        }
    }
    options
}

/// The error speaks of whole files.
fn with_rest(error: AllocationError, rest: u64, budget: u64) -> AllocationError {
    let AllocationError::TooSmall { smallest, types, .. } = error;
    AllocationError::TooSmall { budget, smallest: smallest + rest, types }
}
