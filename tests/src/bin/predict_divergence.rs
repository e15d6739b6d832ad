//! What the backward pass says of a changed model, beside what is measured: `predict-divergence PARENT CHILD TEXT [TOKENS]`.
//!
//! For every matrix of a layer that differs between two checkpoints of the same shape, `1/2 Σ_o E[g_o²] (Δ H Δᵀ)_oo` with the parent's
//! statistics; then the mean `KL(parent || child)` over the same tokens, texts of 512, all positions.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::Path;

use secateur_compress::forward::{Forward, Hidden, NoTaps, Residency, Site, Taps};
use secateur_compress::gradient::output_factors;
use secateur_compress::progress::Silent;
use secateur_compress::statistics::Moments;
use secateur_model::tokenizer::{EncodeOptions, Encoder};
use secateur_model::{Checkpoint, Role, TensorId};

type Failure = Box<dyn Error>;

const TEXT_TOKENS: usize = 512;
const MATRICES: [Role; 7] = [
    Role::AttentionQuery,
    Role::AttentionKey,
    Role::AttentionValue,
    Role::AttentionOutput,
    Role::FfnGate,
    Role::FfnUp,
    Role::FfnDown,
];

fn main() -> Result<(), Failure> {
    const USAGE: &str = "usage: predict-divergence PARENT CHILD TEXT [TOKENS]";
    let mut arguments = env::args().skip(1);
    let parent = Checkpoint::open(Path::new(&arguments.next().ok_or(USAGE)?))?;
    let child = Checkpoint::open(Path::new(&arguments.next().ok_or(USAGE)?))?;
    let text = std::fs::read_to_string(arguments.next().ok_or(USAGE)?)?;
    let tokens: usize = arguments.next().map_or(Ok(4096), |count| count.parse())?;

    let tokenizer = parent.tokenizer.as_ref().ok_or("the parent has no tokenizer")?;
    let ids = Encoder::new(tokenizer)?.encode(&text, EncodeOptions::default())?;
    let texts: Vec<Vec<u32>> =
        ids[..tokens.min(ids.len())].chunks(TEXT_TOKENS).map(<[u32]>::to_vec).collect();

    let matrices = differences(&parent, &child)?;
    let mut inputs = InputMoments { of: BTreeMap::new(), failure: None };
    for (id, change) in &matrices {
        if let (Some(layer), Some(site)) = (id.layer, Site::of(id.role)) {
            let width = change.len() / parent.tensor(*id)?.rows();
            inputs.of.insert((layer, site), Moments::new(width));
        }
    }
    let parent_states = states(&parent, &texts, &mut inputs)?;
    if let Some(failure) = inputs.failure {
        return Err(failure.into());
    }
    let factors = output_factors(&parent, &texts, 1, &[], &Silent)?;
    let mut total = 0.0;
    for (id, change) in &matrices {
        let moments = id.layer.zip(Site::of(id.role)).and_then(|input| inputs.of.get(&input));
        if let (Some(moments), Some(factors)) = (moments, factors.of(*id)) {
            let predicted = predicted(change, &moments.averages().second(), factors);
            println!("layer {} {:?}: predicted {predicted:.4e}", id.layer.unwrap_or_default(), id.role);
            total += predicted;
        }
    }
    let child_states = states(&child, &texts, &mut NoTaps)?;
    let measured = divergence(&parent, &parent_states, &child, &child_states)?;
    println!("all: predicted {total:.4e}, measured {measured:.4e}, ratio {:.3}", total / measured);
    Ok(())
}

/// Child less parent, of the matrices that are not the same.
fn differences(parent: &Checkpoint, child: &Checkpoint) -> Result<BTreeMap<TensorId, Vec<f32>>, Failure> {
    let mut differences = BTreeMap::new();
    for layer in 0..parent.spec.layers.len() {
        for id in MATRICES.map(|role| TensorId::in_layer(layer, role)) {
            let read = |checkpoint: &Checkpoint| -> Result<Vec<f32>, Failure> {
                Ok(checkpoint.tensor(id)?.read_all()?)
            };
            let change: Vec<f32> =
                read(child)?.iter().zip(read(parent)?).map(|(after, before)| after - before).collect();
            if change.iter().any(|&value| value != 0.0) {
                differences.insert(id, change);
            }
        }
    }
    Ok(differences)
}

/// Moments of what the changed matrices read.
struct InputMoments {
    of: BTreeMap<(usize, Site), Moments>,
    failure: Option<String>,
}

impl Taps for InputMoments {
    fn input(&mut self, layer: usize, site: Site, input: &[f32]) {
        if let Some(moments) = self.of.get_mut(&(layer, site))
            && let Err(error) = moments.add(input)
        {
            self.failure.get_or_insert(error.to_string());
        }
    }
}

/// `1/2 Σ_o E[g_o²] (Δ H Δᵀ)_oo`; `change` is `[out_features, in_features]`, `second` is `[in_features, in_features]`.
fn predicted(change: &[f32], second: &[f32], factors: &[f32]) -> f64 {
    let width = change.len() / factors.len();
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let energy = |row: &[f32]| {
        let columns = row.iter().zip(second.chunks_exact(width));
        columns.map(|(&value, column)| f64::from(value) * dot(column, row)).sum::<f64>()
    };
    let rows = factors.iter().zip(change.chunks_exact(width));
    rows.map(|(&factor, row)| f64::from(factor) * energy(row)).sum::<f64>() / 2.0
}

fn states(checkpoint: &Checkpoint, texts: &[Vec<u32>], taps: &mut dyn Taps) -> Result<Vec<Hidden>, Failure> {
    let forward = Forward::new(checkpoint, Residency::Stream)?;
    let mut hidden = texts.iter().map(|text| forward.embed(text)).collect::<Result<Vec<_>, _>>()?;
    forward.run_layers(&mut hidden, taps, &Silent)?;
    Ok(hidden)
}

/// The mean `KL(parent || child)` over all positions.
fn divergence(
    parent: &Checkpoint,
    parent_states: &[Hidden],
    child: &Checkpoint,
    child_states: &[Hidden],
) -> Result<f64, Failure> {
    const TILE_TOKENS: usize = 64;
    let parent = Forward::new(parent, Residency::Stream)?;
    let child = Forward::new(child, Residency::Stream)?;
    let vocabulary = parent.spec().vocabulary_size;
    let (mut sum, mut tokens) = (0.0, 0);
    for (before, after) in parent_states.iter().zip(child_states) {
        for start in (0..before.tokens()).step_by(TILE_TOKENS) {
            let tile = start..(start + TILE_TOKENS).min(before.tokens());
            let mut expected = Vec::new();
            parent
                .for_each_logits(before, tile.clone(), TILE_TOKENS, |_, logits| expected = logits.to_vec())?;
            child.for_each_logits(after, tile.clone(), TILE_TOKENS, |_, found| {
                let rows = expected.chunks_exact(vocabulary).zip(found.chunks_exact(vocabulary));
                sum += rows.map(|(before, after)| divergence_of(before, after)).sum::<f64>();
            })?;
            tokens += tile.len();
        }
    }
    Ok(sum / tokens as f64)
}

/// `Σ p (log p - log q)` of the logits of `p` and `q`, `[vocabulary]` each.
fn divergence_of(before: &[f32], after: &[f32]) -> f64 {
    let total = |logits: &[f32]| logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
    let (before_total, after_total) = (total(before), total(after));
    let logits = before.iter().zip(after).map(|(&before, &after)| (f64::from(before), f64::from(after)));
    logits
        .map(|(before, after)| {
            let log_p = before - before_total;
            log_p.exp() * (log_p - after + after_total)
        })
        .sum()
}
