//! Back through one decoder layer.

use secateur_model::Role;
use secateur_model::spec::LayerSpec;

use super::attention::Attended;
use super::feed_forward;
use crate::forward::ForwardError;
use crate::forward::layer::Layer;
use crate::forward::rope::RopeTable;

/// Told the role of a matrix, the gradient at what it gives out, `[tokens, out_features]`, and what it reads, `[tokens, in_features]`.
pub(super) type Seen<'a> = &'a mut dyn FnMut(Role, &[f32], &[f32]) -> Result<(), ForwardError>;

/// Turns the gradient after the layer into that before it; `hidden` is what the layer read. Both are `[tokens, hidden]`, of a
/// whole text.
pub(super) fn back(
    layer: &Layer,
    spec: &LayerSpec,
    rope: Option<&RopeTable>,
    hidden: &[f32],
    gradient: &mut [f32],
    seen: Seen,
) -> Result<(), ForwardError> {
    let attended = match (&layer.attention, rope) {
        (Some(part), Some(rope)) => Some(Attended::run(part, spec, rope, hidden)?),
        _ => None,
    };
    if let Some(part) = &layer.feed_forward {
        match &attended {
            Some(attended) => feed_forward::back(part, &attended.residual(hidden)?, gradient, seen)?,
            None => feed_forward::back(part, hidden, gradient, seen)?,
        }
    }
    match attended {
        Some(attended) => attended.back(hidden, gradient, seen),
        None => Ok(()),
    }
}
