//! What gradients are for: the divergence that a small change of a matrix makes.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;

use super::*;
use crate::forward::{Site, Taps};
use crate::gradient::back_propagate;
use crate::gradient::labels::draw;
use secateur_model::{Role, TensorId};

/// Draws of labels that are averaged, for each of two texts.
const SEEDS: u64 = 300;

/// `log p` after every token of all texts.
fn predictions(checkpoint: &Checkpoint, texts: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let forward = Forward::new(checkpoint, Residency::Stream).unwrap();
    texts.iter().flat_map(|text| log_probabilities(checkpoint, forward.embed(text).unwrap())).collect()
}

/// Keeps what a layer's matrices read, `[tokens, in_features]` each.
struct Inputs {
    layer: usize,
    inputs: BTreeMap<Site, Vec<f32>>,
}

impl Taps for Inputs {
    fn input(&mut self, layer: usize, site: Site, input: &[f32]) {
        if layer == self.layer {
            self.inputs.entry(site).or_default().extend_from_slice(input);
        }
    }
}

fn inputs(checkpoint: &Checkpoint, texts: &[Vec<u32>], layer: usize) -> BTreeMap<Site, Vec<f32>> {
    let forward = Forward::new(checkpoint, Residency::Stream).unwrap();
    let mut taps = Inputs { layer, inputs: BTreeMap::new() };
    let mut hidden: Vec<Hidden> = texts.iter().map(|text| forward.embed(text).unwrap()).collect();
    forward.run_layers(&mut hidden, &mut taps, &Silent).unwrap();
    taps.inputs
}

/// The model with `change` added to one of its tensors.
fn changed(name: &str, tensor: &str, change: &[f32]) -> Checkpoint {
    let source = golden_folder().join("models").join(name);
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let weights = numbers(&tensors, tensor);
    assert_eq!(weights.len(), change.len());
    let weights: Vec<u8> =
        weights.iter().zip(change).flat_map(|(weight, change)| (weight + change).to_le_bytes()).collect();
    let views = tensors.tensors().into_iter().map(|(name, view)| {
        let data = if name == tensor { &weights } else { view.data() };
        let changed = TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap();
        (name, changed)
    });
    let folder = tempfile::tempdir().unwrap();
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    std::fs::copy(source.join("config.json"), folder.path().join("config.json")).unwrap();
    Checkpoint::open(folder.path()).unwrap()
}

/// What a change `Δ` of a matrix adds to its outputs: `Δ x`, `[tokens, out_features]`.
fn moved(change: &[f32], inputs: &[f32], in_features: usize) -> Vec<f64> {
    let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(d, x)| f64::from(*d) * f64::from(*x)).sum();
    inputs.chunks(in_features).flat_map(|x| change.chunks(in_features).map(move |row| dot(row, x))).collect()
}

/// `KL(before || after)` is, to second order, half the mean square of what the change does to `log p(label)`, over labels drawn
/// from `before`: exactly so, without the independence of tokens that the factors assume.
#[test]
fn scores_of_drawn_labels_explain_the_divergence_of_a_small_change() {
    const CASES: [(Role, &str); 7] = [
        (Role::AttentionQuery, "self_attn.q_proj"),
        (Role::AttentionKey, "self_attn.k_proj"),
        (Role::AttentionValue, "self_attn.v_proj"),
        (Role::AttentionOutput, "self_attn.o_proj"),
        (Role::FfnGate, "mlp.gate_proj"),
        (Role::FfnUp, "mlp.up_proj"),
        (Role::FfnDown, "mlp.down_proj"),
    ];
    let layer = 1;
    for name in ["qwen3", "gemma3"] {
        let (checkpoint, mut texts) = (checkpoint(name), texts(name));
        texts[0].truncate(24);
        let tokens = texts.iter().map(Vec::len).sum::<usize>() as f64;
        let inputs = inputs(&checkpoint, &texts, layer);
        let before = predictions(&checkpoint, &texts);
        let changes = CASES.map(|(role, _)| {
            let rows = checkpoint.tensor(TensorId::in_layer(layer, role)).unwrap();
            let width = rows.row_len();
            // 2 % of the weights' size, about 0.06
            let change: Vec<f32> =
                noise(11, rows.rows() * width).iter().map(|value| value * 0.0012).collect();
            let moved = moved(&change, &inputs[&Site::of(role).unwrap()], width);
            (change, moved)
        });
        let mut squares = [0.0; CASES.len()];
        for seed in 0..SEEDS {
            let labels = |text: usize, position: usize, p: &[f32]| draw(seed, text, position, p);
            let mut of_text = [0; CASES.len()];
            let mut seen = |id: TensorId, gradient: &[f32], _: &[f32], tokens: usize| {
                let case = CASES.iter().position(|(role, _)| id == TensorId::in_layer(layer, *role));
                if let Some(case) = case {
                    let features = gradient.len() / tokens;
                    let moved = &changes[case].1[of_text[case] * features..][..gradient.len()];
                    let score: f64 = gradient.iter().zip(moved).map(|(g, moved)| f64::from(*g) * moved).sum();
                    squares[case] += score * score;
                    of_text[case] += tokens;
                }
                Ok(())
            };
            back_propagate(&checkpoint, &texts, &labels, &mut seen, &Silent).unwrap();
        }
        for (case, (role, part)) in CASES.into_iter().enumerate() {
            let predicted = squares[case] / SEEDS as f64 / tokens / 2.0;
            let changed = changed(name, &format!("model.layers.{layer}.{part}.weight"), &changes[case].0);
            let after = predictions(&changed, &texts);
            let divergence = |(before, after): (&Vec<f64>, &Vec<f64>)| -> f64 {
                before.iter().zip(after).map(|(before, after)| before.exp() * (before - after)).sum()
            };
            let measured = before.iter().zip(&after).map(divergence).sum::<f64>() / tokens;
            let ratio = predicted / measured;
            // three standard deviations of a mean of so many squares are 17 %
            assert!((1.0 / 1.2..1.2).contains(&ratio), "{name}, {role:?}: {predicted:e} for {measured:e}");
        }
    }
}
