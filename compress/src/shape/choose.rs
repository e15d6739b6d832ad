//! From a request to a plan: which layers, heads and channels stay.

use rayon::prelude::*;
use secateur_model::shape::{KeptLayer, ShapePlan};
use secateur_model::spec::LayerSpec;
use secateur_model::{Checkpoint, Kept, ModelError, Role, TensorId};

use super::importance::{Importance, Projection, drop_order};
use super::layers::{drop_by_divergence, drop_by_influence};
use super::portable::check_portable;
use super::request::{Layers, ShapeRequest};
use super::{Gradients, ShapeRequestError};
use crate::CompressError;
use crate::forward::Site;
use crate::progress::Progress;
use crate::statistics::{InputMoments, Statistics};

/// Decides what stays of every layer. `gradients` weigh outputs for [`Importance::Taylor`]; other importances do without.
///
/// # Errors
/// If the model cannot have the shape, nothing that is kept loads it, statistics or weights cannot be read, or the user interrupts.
pub fn choose_shape(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    request: &ShapeRequest,
    gradients: Option<&Gradients>,
    progress: &dyn Progress,
) -> Result<ShapePlan, CompressError> {
    request.check(&checkpoint.spec)?;
    let of = checkpoint.spec.layers.len();
    let kept = match &request.layers {
        Layers::All => (0..of).collect(),
        Layers::Listed(listed) => listed.clone(),
        Layers::ByInfluence(kept) => without(of, &drop_by_influence(statistics.block_influence(), *kept)),
        Layers::ByDivergence(kept) => {
            without(of, &drop_by_divergence(checkpoint, *kept, statistics.sequences(), progress)?)
        }
    };
    progress.begin("choosing heads and channels", kept.len() as u64);
    let layers = kept
        .into_par_iter()
        .map(|layer| {
            progress.check()?;
            let chooser = Chooser { checkpoint, statistics, request, gradients, layer };
            let chosen = chooser.choose()?;
            progress.advance(1);
            Ok(chosen)
        })
        .collect::<Result<Vec<_>, CompressError>>()?;
    let plan = ShapePlan { of, layers, repair: request.repair };
    check_portable(
        &plan
            .apply(&checkpoint.spec)
            .map_err(|source| ModelError::Shape { path: checkpoint.source.clone(), source })?,
    )?;
    Ok(plan)
}

fn without(of: usize, gone: &[usize]) -> Vec<usize> {
    (0..of).filter(|layer| !gone.contains(layer)).collect()
}

/// Chooses in one layer.
struct Chooser<'a> {
    checkpoint: &'a Checkpoint,
    statistics: &'a Statistics,
    request: &'a ShapeRequest,
    gradients: Option<&'a Gradients>,
    layer: usize,
}

impl Chooser<'_> {
    fn choose(&self) -> Result<KeptLayer, CompressError> {
        let spec = &self.checkpoint.spec.layers[self.layer];
        let mut kept = KeptLayer::whole(self.layer);
        let heads = self.request.heads.zip(spec.attention());
        let heads = heads.filter(|(asked, attention)| *asked < attention.heads);
        let channels = self.request.ffn.zip(spec.gated());
        let channels = channels.filter(|(asked, gated)| *asked < gated.width);
        if heads.is_none() && channels.is_none() {
            return Ok(kept);
        }
        let seen = self.statistics.layer(self.layer)?;
        if let Some((asked, attention)) = heads
            && let Some(moments) = seen.site(Site::AttentionOutput)
        {
            let group = attention.heads / attention.kv_heads;
            let gone = attention.kv_heads - asked / group;
            let made_by = self.head_squares(spec)?;
            let order =
                self.drop_order(Role::AttentionOutput, moments, &made_by, group * attention.head_size, gone)?;
            kept.kv_heads = Some(stay(attention.kv_heads, &order[..gone]));
        }
        if let Some((asked, gated)) = channels
            && let Some(moments) = seen.site(Site::FfnDown)
        {
            let gone = gated.width - asked;
            let made_by = self.channel_squares()?;
            let order = self.drop_order(Role::FfnDown, moments, &made_by, 1, gone)?;
            kept.ffn = Some(stay(gated.width, &order[..gone]));
        }
        Ok(kept)
    }

    fn drop_order(
        &self,
        role: Role,
        moments: &InputMoments,
        made_by: &[f32],
        unit: usize,
        gone: usize,
    ) -> Result<Vec<u32>, CompressError> {
        let id = TensorId::in_layer(self.layer, role);
        let (weights, second) = (self.read(role)?, moments.second());
        let outputs = self.gradients.and_then(|gradients| gradients.get(&id)).map(Vec::as_slice);
        let projection = Projection {
            weights: &weights,
            second: &second,
            mean: moments.mean(),
            made_by,
            outputs: outputs.unwrap_or_default(),
        };
        let importance: Importance = self.request.importance;
        drop_order(&projection, importance, unit, gone)
            .map_err(|source| ShapeRequestError::Singular { layer: self.layer, source }.into())
    }

    /// Squared weights of the gate and up rows of each channel, `[width]`.
    fn channel_squares(&self) -> Result<Vec<f32>, CompressError> {
        let (gate, up) = (self.row_squares(Role::FfnGate)?, self.row_squares(Role::FfnUp)?);
        Ok(gate.iter().zip(&up).map(|(gate, up)| gate + up).collect())
    }

    /// Squared weights of the query rows of each element of each head, with its share of the key and value rows,
    /// `[heads * head]`.
    fn head_squares(&self, spec: &LayerSpec) -> Result<Vec<f32>, CompressError> {
        let Some(attention) = spec.attention() else { return Ok(Vec::new()) };
        let group = attention.heads / attention.kv_heads;
        let (query, key, value) = (
            self.row_squares(Role::AttentionQuery)?,
            self.row_squares(Role::AttentionKey)?,
            self.row_squares(Role::AttentionValue)?,
        );
        let of = |(index, query): (usize, &f32)| {
            let (head, element) = (index / attention.head_size, index % attention.head_size);
            let row = head / group * attention.head_size + element;
            query + (key[row] + value[row]) / group as f32
        };
        Ok(query.iter().enumerate().map(of).collect())
    }

    fn row_squares(&self, role: Role) -> Result<Vec<f32>, CompressError> {
        let rows = self.checkpoint.tensor(TensorId::in_layer(self.layer, role))?;
        let values = self.read(role)?;
        Ok(values
            .chunks_exact(rows.row_len())
            .map(|row| row.iter().map(|value| value * value).sum())
            .collect())
    }

    fn read(&self, role: Role) -> Result<Vec<f32>, CompressError> {
        let rows = self.checkpoint.tensor(TensorId::in_layer(self.layer, role))?;
        let mut values = vec![0.0; rows.rows() * rows.row_len()];
        rows.read(0..rows.rows(), &mut values)?;
        Ok(values)
    }
}

/// What stays of `of` once these are gone.
fn stay(of: usize, gone: &[u32]) -> Kept {
    let kept: Vec<u32> = (0..of as u32).filter(|index| !gone.contains(index)).collect();
    Kept::new(&kept)
}
