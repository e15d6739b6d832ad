//! From a request to a plan: which layers, heads and channels stay.

use rayon::prelude::*;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use secateur_model::spec::LayerSpec;
use secateur_model::{Checkpoint, Kept, Role, TensorId};

use super::ShapeRequestError;
use super::importance::{Importance, Projection, drop_losses, drop_order};
use super::layers::{drop_by_divergence, drop_by_influence};
use super::obs::DropOrder;
use super::request::{Layers, ShapeRequest};
use super::uneven::{Curve, STEP, widths};
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
        // one mean, one answer
        chooser.choose_uneven(&kept, &[mean], seed, progress)?.concat()
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
    Ok(ShapePlan { of, layers, repair: request.repair })
}

/// Shapes of fewer channels, each width with those of the next narrower one among its own: what goes first is the same for all. `widths` are
/// at most the model's.
///
/// # Errors
/// As [`choose_shape`].
pub fn choose_widths(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    widths: &[usize],
    progress: &dyn Progress,
) -> Result<Vec<ShapePlan>, CompressError> {
    let of = checkpoint.spec.layers.len();
    progress.begin("choosing channels", of as u64);
    let narrowest = widths.iter().copied().min().unwrap_or_default();
    let orders = (0..of)
        .into_par_iter()
        .map(|layer| {
            progress.check()?;
            progress.advance(1);
            let statistics = statistics.layer(layer)?;
            let Some(gated) = checkpoint.spec.layers[layer].gated() else { return Ok((0, Vec::new())) };
            let in_layer = InLayer { checkpoint, layer, statistics, factors: None };
            let gone = gated.width.saturating_sub(narrowest);
            Ok((gated.width, in_layer.channel_order(Importance::Obs, gone)?))
        })
        .collect::<Result<Vec<_>, CompressError>>()?;
    let kept = |layer: usize, width: usize| {
        let (of, order) = &orders[layer];
        let gone = of.saturating_sub(width);
        let ffn = (gone > 0).then(|| stay(*of, &order[..gone]));
        KeptLayer { ffn, ..KeptLayer::whole(layer) }
    };
    let shape = |&width: &usize| ShapePlan {
        of,
        layers: (0..of).map(|layer| kept(layer, width)).collect(),
        repair: Repair::Solve,
    };
    Ok(widths.iter().map(shape).collect())
}

/// The same, each layer with a width of its own, and `means` on average; by one backward pass, whose labels `seed` draws.
///
/// # Errors
/// As [`choose_shape`].
pub fn choose_uneven_widths(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    means: &[usize],
    seed: u64,
    progress: &dyn Progress,
) -> Result<Vec<ShapePlan>, CompressError> {
    let request = ShapeRequest {
        layers: Layers::All,
        heads: None,
        ffn: means.iter().copied().min(),
        uneven: true,
        importance: Importance::Obs,
        repair: Repair::Solve,
    };
    request.check(&checkpoint.spec)?;
    let of = checkpoint.spec.layers.len();
    let kept: Vec<usize> = (0..of).collect();
    let chooser = Chooser { checkpoint, statistics, request: &request };
    let chosen = chooser.choose_uneven(&kept, means, seed, progress)?;
    Ok(chosen.into_iter().map(|layers| ShapePlan { of, layers, repair: Repair::Solve }).collect())
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

/// A layer loses at most so many times the channels that layers lose on average.
const MOST_TIMES: usize = 3;

/// The most channels that may go from a layer of `width`, where layers are to have `mean` on average: at least [`STEP`] stay.
fn most_gone(width: usize, mean: usize) -> usize {
    (MOST_TIMES * width.saturating_sub(mean)).min(width.saturating_sub(STEP))
}

/// What stays of layers, `mean` channels on average: of each what else is decided of it, its width, and the order in which its channels go.
fn uneven(layers: &[(KeptLayer, usize, DropOrder)], mean: usize) -> Vec<KeptLayer> {
    let curve = |(_, width, order): &(KeptLayer, usize, DropOrder)| {
        let steps = order.losses.iter().take(most_gone(*width, mean)).skip(STEP - 1).step_by(STEP);
        Curve { width: *width, losses: steps.copied().collect() }
    };
    let curves: Vec<Curve> = layers.iter().map(curve).collect();
    let gone = curves.iter().map(|curve| curve.width.saturating_sub(mean)).sum();
    let kept = layers.iter().zip(widths(&curves, gone)).map(|((kept, of, order), width)| {
        let gone = of - width;
        let ffn = (gone > 0).then(|| stay(*of, &order.units[..gone]));
        KeptLayer { ffn, ..kept.clone() }
    });
    kept.collect()
}

impl Chooser<'_> {
    /// What stays of each layer, for each number of channels that layers are to have on average.
    fn choose_uneven(
        &self,
        kept: &[usize],
        means: &[usize],
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<KeptLayer>>, CompressError> {
        let heads_alone = ShapeRequest { ffn: None, ..self.request.clone() };
        let least = means.iter().copied().min().unwrap_or_default();
        let layers = self.with_factors(kept, seed, progress, &|in_layer| {
            let (width, order) = in_layer.channel_losses(self.request.importance, least)?;
            Ok((in_layer.choose(&heads_alone)?, width, order))
        })?;
        Ok(means.iter().map(|&mean| uneven(&layers, mean)).collect())
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
            let order = self.channel_order(request.importance, gone)?;
            kept.ffn = Some(stay(gated.width, &order[..gone]));
        }
        Ok(kept)
    }

    /// Channels in the order in which they should go, at least `gone` of them.
    fn channel_order(&self, importance: Importance, gone: usize) -> Result<Vec<u32>, CompressError> {
        let made_by = self.channel_squares()?;
        self.drop_order(Role::FfnDown, &made_by, 1, importance, gone)
    }

    /// Channels of the layer; and those that may go, in order, with what the predictions lose by it: at least [`STEP`] stay. Inputs are
    /// weighted by the gradient where it is known, since layers are compared by the predictions.
    fn channel_losses(
        &self,
        importance: Importance,
        mean: usize,
    ) -> Result<(usize, DropOrder), CompressError> {
        let none = (0, DropOrder { units: Vec::new(), losses: Vec::new() });
        let (Some(gated), Some(moments)) =
            (self.checkpoint.spec.layers[self.layer].gated(), self.statistics.site(Site::FfnDown))
        else {
            return Ok(none);
        };
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
        let most = most_gone(gated.width, mean);
        let order = drop_losses(&projection, importance, most)
            .map_err(|source| ShapeRequestError::Singular { layer: self.layer, source })?;
        let units = order.units.into_iter().take(most).collect();
        let losses = order.losses.into_iter().take(most).collect();
        Ok((gated.width, DropOrder { units, losses }))
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

    /// Squared weights of each row of a matrix that reads the hidden states.
    fn row_squares(&self, role: Role) -> Result<Vec<f32>, CompressError> {
        let values = self.read(role)?;
        Ok(values
            .chunks_exact(self.checkpoint.spec.hidden_size)
            .map(|row| row.iter().map(|value| value * value).sum())
            .collect())
    }
}

/// What stays of `of` once these are gone.
fn stay(of: usize, gone: &[u32]) -> Kept {
    let kept: Vec<u32> = (0..of as u32).filter(|index| !gone.contains(index)).collect();
    Kept::new(&kept)
}
