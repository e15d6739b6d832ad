//! What is left of damages once output projections are solved for the parent's hidden states.

use secateur_model::{ModelSpec, Role, Rounding, TensorType};

use super::MatrixOptions;

/// Options of matrices that will be rounded by this method, their damages as they will be.
pub(super) fn after_solving(
    options: &[MatrixOptions],
    spec: &ModelSpec,
    rounding: Rounding,
) -> Vec<MatrixOptions> {
    let mut options = options.to_vec();
    for matrix in &mut options {
        for choice in &mut matrix.choices {
            choice.damage *= left_by_solving(spec, rounding, matrix.id.role, choice.tensor_type);
        }
    }
    options
}

/// The part of a matrix's damage in a type that is left when a model of these sizes is rounded by this method.
///
/// Damages are of matrices rounded by themselves. [`Rounding::Full`] solves what reads from a matrix anew, which makes good most of what values lose, and
/// hardly anything of what an output projection itself does. By how much was measured, where it could be as the step of one kind in a whole model, else by
/// one kind alone, less what kinds that are rounded together lose less than one by one (docs/quantize.md has commands and tables).
///
/// Where a norm follows the output projections they are solved for something else, and damages stay as they are.
pub fn left_by_solving(spec: &ModelSpec, rounding: Rounding, role: Role, tensor_type: TensorType) -> f64 {
    let is_known = !spec.layers.iter().any(|layer| layer.post_norms);
    if rounding == Rounding::Full && is_known { left_of(role, tensor_type) } else { 1.0 }
}

/// What a model loses whose kinds of matrices are all rounded, of what the kinds lose alone.
const TOGETHER: f64 = 0.83;

fn left_of(role: Role, tensor_type: TensorType) -> f64 {
    // where errors are large, attention loses less than their squares say
    let is_coarse = tensor_type == TensorType::MXFP4;
    match role {
        Role::AttentionQuery if is_coarse => 0.20,
        Role::AttentionKey if is_coarse => 0.25,
        Role::AttentionQuery => 0.67,
        Role::AttentionKey => 0.38,
        Role::AttentionValue => 0.09 * TOGETHER,
        Role::AttentionOutput => 1.67 * TOGETHER,
        Role::FfnGate => 1.15 * TOGETHER,
        Role::FfnUp => 1.10 * TOGETHER,
        Role::FfnDown => 1.34 * TOGETHER,
        Role::TokenEmbedding => 1.10,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use secateur_model::stored::FileBytes;
    use secateur_model::{Checkpoint, TensorId, demo};

    use super::super::Choice;
    use super::*;

    #[test]
    fn values_hardly_count_once_projections_are_solved_for() {
        let model = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let mut spec = model.spec;
        let options = [Role::AttentionValue, Role::AttentionOutput].map(|role| MatrixOptions {
            id: TensorId::in_layer(0, role),
            choices: vec![Choice { tensor_type: TensorType::Q4_0, bytes: 1, damage: 1.0 }],
        });
        let damages = |spec: &ModelSpec, rounding| {
            let after = after_solving(&options, spec, rounding);
            [after[0].choices[0].damage, after[1].choices[0].damage]
        };
        let [values, outputs] = damages(&spec, Rounding::Full);
        assert!(values < 0.1 && outputs > 1.0, "{values} {outputs}");
        // others solve nothing, and where a norm follows they are solved for something else
        assert_eq!(damages(&spec, Rounding::Gptq), [1.0, 1.0]);
        spec.layers[0].post_norms = true;
        assert_eq!(damages(&spec, Rounding::Full), [1.0, 1.0]);
    }
}
