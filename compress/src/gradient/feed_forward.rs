//! Back through the part of a layer that works on each position alone.

use rayon::prelude::*;
use secateur_model::Role;

use super::columns::{add, columns};
use super::layer::Seen;
use super::norm;
use crate::forward::ForwardError;
use crate::forward::feed_forward::GatedFeedForward;
use crate::forward::linear::with_values;

/// Turns the gradient after the part into that before it; `hidden` is what the part read. Both are `[tokens, hidden]`.
pub(super) fn back(
    part: &GatedFeedForward,
    hidden: &[f32],
    gradient: &mut [f32],
    seen: Seen,
) -> Result<(), ForwardError> {
    let width = part.width;
    let input = part.norm.apply(hidden);
    let gate_up = part.gate_up.apply(input.clone())?;
    let channels = with_values(&gate_up, |gate_up| part.activated(gate_up))?;
    let mut at_update = gradient.to_vec();
    if let Some(post_norm) = &part.post_norm {
        let update = part.down.apply(channels.clone())?;
        with_values(&update, |update| norm::back(post_norm, update, &mut at_update))?;
    }
    seen(Role::FfnDown, &at_update, &channels)?;
    let at_channels = part.down.back(at_update)?;
    // [tokens, 2 * width], gate beside up
    let mut at_gate_up = with_values(&gate_up, <[f32]>::to_vec)?;
    with_values(&at_channels, |at_channels| {
        let rows = at_gate_up.par_chunks_mut(2 * width).zip(at_channels.par_chunks(width));
        rows.for_each(|(gate_up, gradient)| (part.gating.back)(gate_up, gradient));
    })?;
    seen(Role::FfnGate, &columns(&at_gate_up, 2 * width, 0..width), &input)?;
    seen(Role::FfnUp, &columns(&at_gate_up, 2 * width, width..2 * width), &input)?;
    let mut at_input = with_values(&part.gate_up.back(at_gate_up)?, <[f32]>::to_vec)?;
    norm::back(&part.norm, hidden, &mut at_input);
    add(gradient, &at_input);
    Ok(())
}
