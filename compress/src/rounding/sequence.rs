//! From the embedding to the last layer.

use std::collections::BTreeMap;

use secateur_model::plan::Plan;
use secateur_model::{Checkpoint, Role, TensorId, TensorType, dequantize_row};

use super::target::asymmetric_target;
use crate::CompressError;
use crate::forward::{Hidden, Site, StagedLayer, StagedModel};
use crate::progress::Progress;
use crate::quantize::feedback::{Problem, round_matrix};
use crate::statistics::{CrossMoments, Moments};

/// How matrices are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Added to the diagonal of second moments, relative to its mean.
    pub damping: f64,
    /// The ridge of the asymmetric target, relative to the mean of the diagonal; `None` keeps the parent's weights as target.
    pub ridge: Option<f64>,
    /// Times that every code, scale and minimum is improved after rounding.
    pub sweeps: usize,
    /// What the embedding's second moments get from its use as input, relative to the mean of the diagonal.
    pub embedding_input: f64,
}

/// A matrix as it will be stored.
#[derive(Debug, Clone)]
pub struct RoundedMatrix {
    pub tensor_type: TensorType,
    /// Rows in our order.
    pub bytes: Vec<u8>,
}

/// The two texts that pass: as the parent sees it, and as the rounded model does.
struct Stream {
    parent: Vec<Hidden>,
    child: Vec<Hidden>,
}

pub fn round_model(
    checkpoint: &Checkpoint,
    plan: &Plan,
    texts: &[Vec<u32>],
    output_second: &[f32],
    settings: Settings,
    progress: &dyn Progress,
) -> Result<BTreeMap<TensorId, RoundedMatrix>, CompressError> {
    let types: BTreeMap<TensorId, TensorType> =
        plan.tensors.iter().map(|tensor| (tensor.id, tensor.to)).collect();
    let mut rounded = BTreeMap::new();
    let spec = &checkpoint.spec;
    // embedding
    let hidden_size = spec.hidden_size;
    for role in [Role::TokenEmbedding, Role::Output] {
        let id = TensorId::global(role);
        let Some(&tensor_type) = types.get(&id) else { continue };
        let weights = read_all(checkpoint, id)?;
        let is_output = role == Role::Output || spec.tied_embeddings;
        let mut second =
            if is_output { output_second.to_vec() } else { vec![0.0; hidden_size * hidden_size] };
        let mean = second.iter().step_by(hidden_size + 1).sum::<f32>() / hidden_size as f32;
        if role == Role::TokenEmbedding {
            let added = if mean > 0.0 { settings.embedding_input as f32 * mean } else { 1.0 };
            second.iter_mut().step_by(hidden_size + 1).for_each(|value| *value += added);
        }
        let problem = Problem::new(&second, hidden_size, settings.damping)
            .map_err(|source| CompressError::Moments { id: format!("{id:?}"), source })?;
        let bytes = round_matrix(tensor_type, &weights, &problem, settings.sweeps)
            .map_err(|source| CompressError::Quantize { tensor: format!("{id:?}"), source })?;
        rounded.insert(id, RoundedMatrix { tensor_type, bytes });
    }
    let embedding = &rounded[&TensorId::global(Role::TokenEmbedding)];
    let row_bytes = embedding.bytes.len() / spec.vocabulary_size;
    let source = checkpoint.tensor(TensorId::global(Role::TokenEmbedding))?;
    let embed = |text: &Vec<u32>, child: bool| -> Result<Hidden, CompressError> {
        let mut values = vec![0.0; text.len() * hidden_size];
        for (&token, row) in text.iter().zip(values.chunks_exact_mut(hidden_size)) {
            let token = token as usize;
            if child {
                dequantize_row(
                    embedding.tensor_type,
                    &embedding.bytes[token * row_bytes..][..row_bytes],
                    row,
                )
                .map_err(|source| secateur_model::ModelError::Dequantize {
                    tensor: "embedding".into(),
                    source,
                })?;
            } else {
                source.read(token..token + 1, row)?;
            }
            row.iter_mut().for_each(|value| *value *= spec.embedding_scale);
        }
        Ok(Hidden::new(values, hidden_size))
    };
    let mut stream = Stream {
        parent: texts.iter().map(|text| embed(text, false)).collect::<Result<_, _>>()?,
        child: texts.iter().map(|text| embed(text, true)).collect::<Result<_, _>>()?,
    };
    let model = StagedModel::new(checkpoint)?;
    for index in 0..spec.layers.len() {
        progress.check()?;
        let parent = model.layer(index)?;
        let mut child = model.layer(index)?;
        round_layer(checkpoint, &types, index, &parent, &mut child, &mut stream, settings, &mut rounded)?;
        progress.advance(1);
    }
    Ok(rounded)
}

fn round_layer(
    checkpoint: &Checkpoint,
    types: &BTreeMap<TensorId, TensorType>,
    index: usize,
    parent: &StagedLayer,
    child: &mut StagedLayer,
    stream: &mut Stream,
    settings: Settings,
    rounded: &mut BTreeMap<TensorId, RoundedMatrix>,
) -> Result<(), CompressError> {
    let mut inputs: Vec<(Vec<f32>, Vec<f32>)> = vec![(Vec::new(), Vec::new()); stream.parent.len()];
    for site in parent.sites() {
        let mut width = 0;
        let mut moments: Option<(Moments, CrossMoments)> = None;
        for (text, input) in inputs.iter_mut().enumerate() {
            let (before_parent, before_child) = std::mem::take(input);
            let now_parent = parent.input(site, &stream.parent[text], before_parent)?;
            let now_child = child.input(site, &stream.child[text], before_child)?;
            width = now_parent.len() / stream.parent[text].tokens();
            let (second, cross) =
                moments.get_or_insert_with(|| (Moments::new(width), CrossMoments::new(width)));
            second.add(&now_child).map_err(crate::forward::ForwardError::from)?;
            if settings.ridge.is_some() {
                cross.add(&now_parent, &now_child).map_err(crate::forward::ForwardError::from)?;
            }
            *input = (now_parent, now_child);
        }
        let Some((second, cross)) = moments else { return Ok(()) };
        let second = second.second();
        let problem = Problem::new(&second, width, settings.damping)
            .map_err(|source| CompressError::Moments { id: format!("{index} {site:?}"), source })?;
        let cross = cross.mean();
        let mut stacked = Vec::new();
        for &role in site.roles() {
            let id = TensorId::in_layer(index, role);
            let weights = read_all(checkpoint, id)?;
            let wanted = match settings.ridge {
                Some(ridge) => asymmetric_target(&weights, width, &cross, &second, ridge)?.unwrap_or(weights),
                None => weights,
            };
            let tensor_type = types[&id];
            let bytes = round_matrix(tensor_type, &wanted, &problem, settings.sweeps)
                .map_err(|source| CompressError::Quantize { tensor: format!("{id:?}"), source })?;
            let at = stacked.len();
            stacked.resize(at + wanted.len(), 0.0);
            dequantize_row(tensor_type, &bytes, &mut stacked[at..]).map_err(|source| {
                secateur_model::ModelError::Dequantize { tensor: format!("{id:?}"), source }
            })?;
            rounded.insert(id, RoundedMatrix { tensor_type, bytes });
        }
        child.replace(site, stacked)?;
        if matches!(site, Site::AttentionOutput | Site::FfnDown) {
            for (text, input) in inputs.iter_mut().enumerate() {
                let (now_parent, now_child) = std::mem::take(input);
                parent.finish(site, text, &mut stream.parent[text], now_parent)?;
                child.finish(site, text, &mut stream.child[text], now_child)?;
            }
        }
    }
    Ok(())
}

fn read_all(checkpoint: &Checkpoint, id: TensorId) -> Result<Vec<f32>, CompressError> {
    let rows = checkpoint.tensor(id)?;
    let mut values = vec![0.0; rows.rows() * rows.row_len()];
    rows.read(0..rows.rows(), &mut values)?;
    Ok(values)
}
