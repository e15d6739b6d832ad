//! What is left of damages once output projections are solved for the parent's hidden states.

use secateur_model::{ModelSpec, Role, Rounding};

use super::MatrixOptions;

/// Options of matrices that will be rounded by this method, their damages as they will be.
///
/// Damages are of matrices rounded by themselves. [`Rounding::Full`] solves what reads from a matrix anew, which makes good most of what queries and values
/// lose, and hardly anything of what an output projection itself does. By how much was measured, one kind of matrix rounded and all others in half precision
/// (docs/quantize.md has the commands and the table).
///
/// Where a norm follows the output projections they are solved for something else, and damages stay as they are.
pub(super) fn after_solving(
    options: &[MatrixOptions],
    spec: &ModelSpec,
    rounding: Rounding,
) -> Vec<MatrixOptions> {
    let mut options = options.to_vec();
    let is_known = !spec.layers.iter().any(|layer| layer.post_norms);
    if rounding == Rounding::Full && is_known {
        for matrix in &mut options {
            let left = left_by_solving(matrix.id.role);
            matrix.choices.iter_mut().for_each(|choice| choice.damage *= left);
        }
    }
    options
}

fn left_by_solving(role: Role) -> f64 {
    match role {
        Role::AttentionQuery => 0.15,
        Role::AttentionKey => 0.42,
        Role::AttentionValue => 0.09,
        Role::AttentionOutput => 1.67,
        Role::FfnGate => 1.15,
        Role::FfnUp => 1.10,
        Role::FfnDown => 1.34,
        Role::TokenEmbedding => 1.21,
        _ => 1.0,
    }
}
