//! From a request to a plan: which layers, heads, channels and hidden dimensions stay.

use rayon::prelude::*;
use secateur_model::shape::{KeptLayer, ShapePlan};
use secateur_model::spec::LayerSpec;
use secateur_model::{Checkpoint, Kept, Role, TensorId};

use super::ShapeRequestError;
use super::hidden::choose_hidden;
use super::importance::{Importance, Projection, drop_losses, drop_order};
use super::layers::{drop_by_divergence, drop_by_influence};
use super::obs::DropOrder;
use super::orders::{ChannelOrder, most_gone, uneven};
use super::request::{Layers, ShapeRequest};
use super::squares::row_squares;
use super::uneven::STEP;
use crate::CompressError;
use crate::forward::Site;
use crate::gradient::{LayerFactors, for_each_layer};
use crate::progress::Progress;
use crate::statistics::{LayerStatistics, Statistics};

/// Tokens of the backward pass.
const GRADIENT_TOKENS: usize = 8192;

/// Decides what stays of every layer. [`Importance::Taylor`] takes a backward pass, whose labels `seed` draws.
///
/// # Errors
/// If the model cannot have the shape, nothing that is kept loads it, statistics or weights cannot be read, or the user interrupts.
pub fn choose_shape(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    request: &ShapeRequest,
    seed: u64,
    progress: &dyn Progress,
) -> Result<ShapePlan, CompressError> {
    request.check(&checkpoint.spec)?;
    let of = checkpoint.spec.layers.len();
    let kept: Vec<usize> = match &request.layers {
        Layers::All => (0..of).collect(),
        Layers::Listed(listed) => listed.clone(),
        Layers::ByInfluence(kept) => without(of, &drop_by_influence(statistics.block_influence(), *kept)),
        Layers::ByDivergence(kept) => {
            without(of, &drop_by_divergence(checkpoint, *kept, statistics.sequences(), progress)?)
        }
    };
    let chooser = Chooser { checkpoint, statistics, request };
    let layers = if request.heads.is_none() && request.ffn.is_none() {
        kept.into_iter().map(KeptLayer::whole).collect()
    } else if let (Some(mean), true) = (request.ffn, request.uneven) {
        chooser.choose_uneven(&kept, mean, seed, progress)?
    } else if request.importance == Importance::Taylor {
        chooser.with_factors(&kept, seed, progress, &|in_layer| in_layer.choose(request))?
    } else {
        progress.begin("choosing heads and channels", kept.len() as u64);
        let choose = |layer| {
            progress.check()?;
            progress.advance(1);
            let statistics = statistics.layer(layer)?;
            InLayer { checkpoint, layer, statistics, factors: None }.choose(request)
        };
        kept.into_par_iter().map(choose).collect::<Result<Vec<_>, CompressError>>()?
    };
    let hidden = match request.hidden.filter(|&asked| asked < checkpoint.spec.hidden_size) {
        Some(asked) => {
            Some(choose_hidden(checkpoint, statistics, &layers, request.importance, asked, progress)?)
        }
        None => None,
    };
    Ok(ShapePlan { of, layers, hidden, repair: request.repair })
}

fn without(of: usize, gone: &[usize]) -> Vec<usize> {
    (0..of).filter(|layer| !gone.contains(layer)).collect()
}

/// Chooses in one layer after the other.
struct Chooser<'a> {
    checkpoint: &'a Checkpoint,
    statistics: &'a Statistics,
    request: &'a ShapeRequest,
}

impl Chooser<'_> {
    /// What stays of each layer, where layers are to have `mean` channels on average.
    fn choose_uneven(
        &self,
        kept: &[usize],
        mean: usize,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<KeptLayer>, CompressError> {
        let heads_alone = ShapeRequest { ffn: None, ..self.request.clone() };
        let layers = self.with_factors(kept, seed, progress, &|in_layer| {
            let most = |width| most_gone(width, mean);
            Ok((in_layer.choose(&heads_alone)?, in_layer.channel_order(self.request.importance, &most)?))
        })?;
        let (heads, orders): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        let ffn = uneven(&orders, mean, STEP);
        Ok(heads.into_iter().zip(ffn).map(|(kept, ffn)| KeptLayer { ffn, ..kept }).collect())
    }

    /// What is decided of each layer that is kept, from the first to the last, by one backward pass that says how much the predictions depend
    /// on it.
    fn with_factors<T>(
        &self,
        kept: &[usize],
        seed: u64,
        progress: &dyn Progress,
        decide: &dyn Fn(&InLayer) -> Result<T, CompressError>,
    ) -> Result<Vec<T>, CompressError> {
        let mut decided = Vec::with_capacity(kept.len());
        let mut work = |layer: usize, factors: &LayerFactors| {
            if kept.contains(&layer) {
                let statistics = self.statistics.layer(layer)?;
                let factors = Some(factors);
                decided.push(decide(&InLayer { checkpoint: self.checkpoint, layer, statistics, factors })?);
            }
            Ok(())
        };
        let texts = self.statistics.spread_tokens(GRADIENT_TOKENS);
        for_each_layer(self.checkpoint, &texts, seed, &mut work, progress)?;
        // they came from the last layer to the first
        decided.reverse();
        Ok(decided)
    }
}

/// A layer to choose from.
struct InLayer<'a> {
    checkpoint: &'a Checkpoint,
    layer: usize,
    statistics: LayerStatistics,
    factors: Option<&'a LayerFactors>,
}

impl InLayer<'_> {
    fn choose(&self, request: &ShapeRequest) -> Result<KeptLayer, CompressError> {
        let spec = &self.checkpoint.spec.layers[self.layer];
        let mut kept = KeptLayer::whole(self.layer);
        let heads = request.heads.zip(spec.attention());
        let heads = heads.filter(|(asked, attention)| *asked < attention.heads);
        let channels = request.ffn.zip(spec.gated());
        let channels = channels.filter(|(asked, gated)| *asked < gated.width);
        if let Some((asked, attention)) = heads {
            let group = attention.heads / attention.kv_heads;
            let gone = attention.kv_heads - asked / group;
            let made_by = self.head_squares(spec)?;
            let unit = group * attention.head_size;
            let order = self.drop_order(Role::AttentionOutput, &made_by, unit, request.importance, gone)?;
            kept.kv_heads = Some(stay(attention.kv_heads, &order[..gone]));
        }
        if let Some((asked, gated)) = channels {
            let gone = gated.width - asked;
            let made_by = self.channel_squares()?;
            let order = self.drop_order(Role::FfnDown, &made_by, 1, request.importance, gone)?;
            kept.ffn = Some(stay(gated.width, &order[..gone]));
        }
        Ok(kept)
    }

    /// Channels of the layer in the order in which `most` of them at most should go, and what the predictions lose by it. Inputs are weighted by the
    /// gradient where it is known, since layers are compared by the predictions.
    fn channel_order(
        &self,
        importance: Importance,
        most: &dyn Fn(usize) -> usize,
    ) -> Result<ChannelOrder, CompressError> {
        let (Some(gated), Some(moments)) =
            (self.checkpoint.spec.layers[self.layer].gated(), self.statistics.site(Site::FfnDown))
        else {
            return Ok(ChannelOrder::default());
        };
        let most = most(gated.width);
        if most == 0 {
            return Ok(ChannelOrder { width: gated.width, ..ChannelOrder::default() });
        }
        let weighted = self.factors.and_then(|factors| factors.weighted_inputs(Site::FfnDown));
        let outputs = self.factors.and_then(|factors| factors.diagonal(Role::FfnDown)).unwrap_or_default();
        let (weights, second) = (self.read(Role::FfnDown)?, weighted.unwrap_or(moments).second());
        let made_by = self.channel_squares()?;
        let projection = Projection {
            weights: &weights,
            second: &second,
            mean: moments.mean(),
            made_by: &made_by,
            outputs,
        };
        let DropOrder { mut units, mut losses } = drop_losses(&projection, importance, most)
            .map_err(|source| ShapeRequestError::Singular { layer: self.layer, source })?;
        units.truncate(most);
        losses.truncate(most);
        Ok(ChannelOrder { width: gated.width, units, losses })
    }

    fn drop_order(
        &self,
        role: Role,
        made_by: &[f32],
        unit: usize,
        importance: Importance,
        gone: usize,
    ) -> Result<Vec<u32>, CompressError> {
        let site = if role == Role::FfnDown { Site::FfnDown } else { Site::AttentionOutput };
        let Some(moments) = self.statistics.site(site) else { return Ok(Vec::new()) };
        let (weights, second) = (self.read(role)?, moments.second());
        let outputs = self.factors.and_then(|factors| factors.diagonal(role)).unwrap_or_default();
        let projection =
            Projection { weights: &weights, second: &second, mean: moments.mean(), made_by, outputs };
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

    fn read(&self, role: Role) -> Result<Vec<f32>, CompressError> {
        Ok(self.checkpoint.tensor(TensorId::in_layer(self.layer, role))?.read_all()?)
    }

    fn row_squares(&self, role: Role) -> Result<Vec<f32>, CompressError> {
        row_squares(self.checkpoint, TensorId::in_layer(self.layer, role))
    }
}

/// Channels of a layer in the order in which `most` of them at most should go, by [`Importance::Obs`] and what a backward pass tells of the layer.
///
/// # Errors
/// If statistics or weights cannot be read, or nothing was seen of the layer.
pub(crate) fn channel_order(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    layer: usize,
    factors: &LayerFactors,
    most: &dyn Fn(usize) -> usize,
) -> Result<ChannelOrder, CompressError> {
    let statistics = statistics.layer(layer)?;
    let in_layer = InLayer { checkpoint, layer, statistics, factors: Some(factors) };
    in_layer.channel_order(Importance::Obs, most)
}

/// What stays of `of` once these are gone.
pub(super) fn stay(of: usize, gone: &[u32]) -> Kept {
    let kept: Vec<u32> = (0..of as u32).filter(|index| !gone.contains(index)).collect();
    Kept::new(&kept)
}
