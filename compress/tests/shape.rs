//! A model without some heads and channels computes what the whole model computes when nothing reads them.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::progress::Silent;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use secateur_model::stored::FileBytes;
use secateur_model::{Checkpoint, HeldTensor, Kept, Role, TensorId, TensorType, demo};

const TOKENS: [u32; 12] = [1, 40, 300, 7, 512, 99, 1000, 3, 64, 65, 66, 2];

fn whole() -> Checkpoint {
    Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap()
}

fn logits(model: &Checkpoint) -> Vec<f32> {
    let forward = Forward::new(model, Residency::Stream).unwrap();
    let mut texts = [forward.embed(&TOKENS).unwrap()];
    forward.run_layers(&mut texts, &mut NoTaps, &Silent).unwrap();
    forward.logits(&texts[0], 0..TOKENS.len()).unwrap()
}

/// A matrix with zeros in the columns that are not `kept`.
fn without_columns(model: &Checkpoint, id: TensorId, kept: impl Fn(usize) -> bool) -> HeldTensor {
    let rows = model.tensor(id).unwrap();
    let mut values = rows.read_all().unwrap();
    for (index, value) in values.iter_mut().enumerate() {
        if !kept(index % rows.row_len()) {
            *value = 0.0;
        }
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    HeldTensor { id, tensor_type: TensorType::F32, bytes: bytes.into() }
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4 * largest, "{found}, expected {expected}");
    }
}

#[test]
fn what_is_left_out_is_what_nothing_reads() {
    let model = whole();
    let spec = model.spec.clone();
    let attention = spec.layers[0].attention().unwrap().clone();
    let per_group = attention.heads / attention.kv_heads * attention.head_size;
    let width = spec.layers[0].gated().unwrap().width;
    // other channels and another head group in each layer
    let channel_stays = |layer: usize, channel: usize| !(channel * 7 + layer).is_multiple_of(5);
    let group_stays = |layer: usize, group: usize| group % attention.kv_heads == layer % attention.kv_heads;
    let chosen = |of: usize, stays: &dyn Fn(usize) -> bool| {
        Kept::new(&(0..of).filter(|&index| stays(index)).map(|index| index as u32).collect::<Vec<_>>())
    };
    let layers = (0..spec.layers.len()).map(|layer| KeptLayer {
        layer,
        kv_heads: Some(chosen(attention.kv_heads, &|group| group_stays(layer, group))),
        ffn: Some(chosen(width, &|channel| channel_stays(layer, channel))),
    });
    let shape =
        ShapePlan { of: spec.layers.len(), layers: layers.collect(), hidden: None, repair: Repair::None };
    let smaller = model.clone().with_shape(&shape, None).unwrap();
    assert_eq!(smaller.spec.layers[1].attention().unwrap().kv_heads, attention.kv_heads / 2);

    let mut held = Vec::new();
    for layer in 0..spec.layers.len() {
        let down = TensorId::in_layer(layer, Role::FfnDown);
        held.push(without_columns(&model, down, |channel| channel_stays(layer, channel)));
        let output = TensorId::in_layer(layer, Role::AttentionOutput);
        held.push(without_columns(&model, output, |column| group_stays(layer, column / per_group)));
    }
    assert_close(&logits(&smaller), &logits(&model.with_held(held).unwrap()));
}

#[test]
fn layers_that_go_are_those_that_add_nothing() {
    let model = whole();
    let layers = [0, 1, 3].into_iter().map(KeptLayer::whole).collect();
    let shape = ShapePlan { of: 4, layers, hidden: None, repair: Repair::None };
    let smaller = model.clone().with_shape(&shape, None).unwrap();
    let nothing = [Role::AttentionOutput, Role::FfnDown]
        .map(|role| without_columns(&model, TensorId::in_layer(2, role), |_| false));
    assert_close(&logits(&smaller), &logits(&model.with_held(nothing).unwrap()));
}

#[test]
fn a_view_of_a_view_counts_what_is_left() {
    let keep = |kept: &[u32]| ShapePlan {
        of: 4,
        layers: (0..4)
            .map(|layer| KeptLayer { ffn: Some(Kept::new(kept)), ..KeptLayer::whole(layer) })
            .collect(),
        hidden: None,
        repair: Repair::None,
    };
    let first: Vec<u32> = (0..256).step_by(2).collect();
    let second: Vec<u32> = (32..96).collect();
    let both: Vec<u32> = second.iter().map(|&index| first[index as usize]).collect();
    let twice = whole().with_shape(&keep(&first), None).unwrap().with_shape(&keep(&second), None).unwrap();
    let once = whole().with_shape(&keep(&both), None).unwrap();
    assert_eq!(logits(&twice), logits(&once));
}

#[test]
fn hidden_dimensions_that_go_are_zeros_that_norms_do_not_count() {
    let model = whole();
    let of = model.spec.hidden_size;
    let stays = |index: usize| !(index * 7).is_multiple_of(5);
    let kept: Vec<u32> = (0..of).filter(|&index| stays(index)).map(|index| index as u32).collect();
    let shape = ShapePlan {
        of: 4,
        layers: (0..4).map(KeptLayer::whole).collect(),
        hidden: Some(Kept::new(&kept)),
        repair: Repair::None,
    };
    let smaller = model.clone().with_shape(&shape, None).unwrap();
    assert_eq!(smaller.spec.hidden_size, kept.len());

    // the same mean square over fewer dimensions
    let scale = (kept.len() as f32 / of as f32).sqrt();
    let mut held = Vec::new();
    for id in model.spec.tensor_ids() {
        let shape = model.spec.shape(id).unwrap();
        let is_vector = shape.len() == 1 && shape[0] == of;
        if id.role.is_norm() && is_vector {
            let values = model.tensor(id).unwrap().read_all().unwrap();
            let bytes: Vec<u8> = values.iter().flat_map(|value| (scale * value).to_le_bytes()).collect();
            held.push(HeldTensor { id, tensor_type: TensorType::F32, bytes: bytes.into() });
        } else if id.role == Role::TokenEmbedding {
            held.push(without_columns(&model, id, stays));
        } else if matches!(id.role, Role::AttentionOutput | Role::FfnDown) {
            let mut values = model.tensor(id).unwrap().read_all().unwrap();
            for (row, values) in values.chunks_exact_mut(shape[1]).enumerate().filter(|(row, _)| !stays(*row))
            {
                assert!(row < of);
                values.fill(0.0);
            }
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            held.push(HeldTensor { id, tensor_type: TensorType::F32, bytes: bytes.into() });
        }
    }
    assert_close(&logits(&smaller), &logits(&model.with_held(held).unwrap()));
}
