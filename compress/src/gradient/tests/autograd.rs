//! Gradients are PyTorch's.

use std::collections::BTreeMap;

use super::*;
use crate::gradient::back_propagate;
use secateur_model::spec::Mixer;
use secateur_model::{Role, TensorId};

/// How a matrix is called in transformers' models.
fn name_of(id: TensorId) -> String {
    let part = match id.role {
        Role::AttentionQuery => "self_attn.q_proj",
        Role::AttentionKey => "self_attn.k_proj",
        Role::AttentionValue => "self_attn.v_proj",
        Role::AttentionOutput => "self_attn.o_proj",
        Role::FfnGate => "mlp.gate_proj",
        Role::FfnUp => "mlp.up_proj",
        Role::FfnDown => "mlp.down_proj",
        role => panic!("{role:?} is no matrix of a layer"),
    };
    format!("layers.{}.{part}", id.layer.unwrap())
}

/// The greatest difference, as a share of the greatest expected number.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(0.0, |greatest: f32, value| greatest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    differences.fold(0.0, f32::max) / greatest
}

fn compare(name: &str, checkpoint: &Checkpoint, texts: &[Vec<u32>]) {
    let bytes = std::fs::read(golden_folder().join("gradients.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let labels = ids(&golden, &format!("{name}/labels"));
    let label_of =
        |text: usize, position: usize, _: &[f32]| labels[text * texts[0].len() + position] as usize;
    // [tokens, out_features] each
    let mut gradients: BTreeMap<TensorId, Vec<f32>> = BTreeMap::new();
    let mut seen = |id, gradient: &[f32], _: &[f32], _| {
        gradients.entry(id).or_default().extend_from_slice(gradient);
        Ok(())
    };
    back_propagate(checkpoint, texts, &label_of, &mut seen, &Silent).unwrap();

    let embedding = gradients.remove(&TensorId::global(Role::TokenEmbedding)).unwrap();
    let rows = embedding.chunks(checkpoint.spec.hidden_size).step_by(25);
    let found = difference(
        &rows.flatten().copied().collect::<Vec<_>>(),
        &numbers(&golden, &format!("{name}/embedding")),
    );
    assert!(found < 1e-4, "{name}, embedding: {found:e}");
    let matrices =
        golden.names().iter().filter(|tensor| tensor.starts_with(&format!("{name}/layers"))).count();
    assert_eq!(gradients.len(), matrices, "{name}");
    for (id, gradients) in gradients {
        let expected = numbers(&golden, &format!("{name}/{}", name_of(id)));
        let tokens = texts.iter().map(Vec::len).sum::<usize>();
        let mut squares = vec![0.0_f64; expected.len()];
        assert_eq!(gradients.len(), tokens * squares.len(), "{name}, {id:?}");
        for row in gradients.chunks(squares.len()) {
            squares.iter_mut().zip(row).for_each(|(sum, &gradient)| *sum += f64::from(gradient).powi(2));
        }
        let found: Vec<f32> = squares.iter().map(|sum| (sum / tokens as f64) as f32).collect();
        let found = difference(&found, &expected);
        assert!(found < 1e-4, "{name}, {id:?}: {found:e}");
    }
}

#[test]
fn gradients_are_those_of_pytorch() {
    for name in MODELS {
        compare(name, &checkpoint(name), &texts(name));
    }
}

#[test]
fn gradients_with_soft_caps_are_those_of_pytorch() {
    let mut capped = checkpoint("gemma3");
    capped.spec.final_logit_softcap = Some(5.0);
    for layer in &mut capped.spec.layers {
        if let Mixer::Attention(attention) = &mut layer.mixer {
            attention.logit_softcap = Some(2.0);
        }
    }
    compare("gemma3-capped", &capped, &texts("gemma3"));
}
