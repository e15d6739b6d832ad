//! Gradients are what losses do when hidden states change.

use super::*;
use crate::gradient::back_propagate;
use secateur_model::{Role, TensorId};

#[test]
fn the_loss_changes_as_the_gradient_at_the_embedding_says() {
    for name in MODELS {
        let checkpoint = checkpoint(name);
        let text = texts(name).remove(0);
        let label_of = |position: usize| (position * 53 + 11) % checkpoint.spec.vocabulary_size;
        let mut gradient = Vec::new();
        let mut seen = |id, values: &[f32], _: &[f32], _| {
            if id == TensorId::global(Role::TokenEmbedding) {
                gradient.extend_from_slice(values);
            }
            Ok(())
        };
        let texts = [text.clone()];
        back_propagate(&checkpoint, &texts, &|_, position, _| label_of(position), &mut seen, &Silent)
            .unwrap();

        let hidden = Forward::new(&checkpoint, Residency::Stream).unwrap().embed(&text).unwrap();
        let loss = |direction: &[f32], step: f32| -> f64 {
            let moved = hidden.values().iter().zip(direction).map(|(value, towards)| value + step * towards);
            let moved = Hidden::new(moved.collect(), checkpoint.spec.hidden_size);
            let rows = log_probabilities(&checkpoint, moved);
            rows.iter().enumerate().map(|(position, row)| -row[label_of(position)]).sum()
        };
        let length =
            |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let size = length(&gradient);
        // a direction drawn blindly shares little with the gradient
        let blind = size / (gradient.len() as f64).sqrt();
        let count = gradient.len();
        for (direction, scale) in [(&gradient, size), (&noise(1, count), blind), (&noise(2, count), blind)] {
            let unit: Vec<f32> = direction.iter().map(|value| value / length(direction) as f32).collect();
            // the loss of 300 tokens moves by about 0.1 nats
            let step = (0.05 / scale) as f32;
            let slope = (loss(&unit, step) - loss(&unit, -step)) / (2.0 * f64::from(step));
            let expected: f64 = gradient.iter().zip(&unit).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            assert!((slope - expected).abs() < 2e-3 * scale, "{name}: {slope} instead of {expected}");
        }
    }
}
