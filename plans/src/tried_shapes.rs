//! The smaller shapes of a model that are offered, and what each loses without repair.

use secateur_compress::CompressError;
use secateur_compress::allocation::Knowledge;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::shape::{
    ChannelOrders, Importance, Layers, ShapeRequest, choose_shape, drop_by_divergence, drop_by_influence,
};
use secateur_compress::statistics::{Statistics, keep, read_kept};
use secateur_model::Checkpoint;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use serde::{Deserialize, Serialize};

use crate::offer::OfferedSizes;
use crate::yardstick::Yardstick;

/// Shapes of a model, what each loses without repair, and what both come from: kept with the statistics.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriedShapes {
    /// The version of this record: 6.
    schema: u32,
    /// Of the statistics.
    calibration: String,
    /// Of the backward pass that put channels in order.
    seed: u64,
    offered: OfferedSizes,
    pub plans: Vec<ShapePlan>,
    /// The divergence from the whole model in nats per token.
    pub losses: Vec<f64>,
}

impl TriedShapes {
    /// Every number of layers with every width and every number of heads but the model's own, as an earlier run has kept them, or chosen and held
    /// against the yardstick.
    pub fn new(
        whole: &Checkpoint,
        statistics: &Statistics,
        knowledge: &Knowledge,
        offered: OfferedSizes,
        yardstick: &Yardstick,
        progress: &dyn Progress,
    ) -> Result<Self, CompressError> {
        let path = statistics.folder().join("shapes.json");
        let calibration = statistics.fingerprint();
        let kept: Option<Self> = read_kept(&path);
        let seed = knowledge.seed;
        let is_same = |tried: &Self| {
            tried.schema == 6
                && tried.calibration == calibration
                && tried.seed == seed
                && tried.offered == offered
        };
        if let Some(tried) = kept.filter(is_same) {
            return Ok(tried);
        }
        let plans = plans(whole, statistics, &knowledge.channels, &offered, progress)?;
        progress.begin("trying shapes", plans.len() as u64);
        let mut losses = Vec::with_capacity(plans.len());
        for plan in &plans {
            progress.check()?;
            let bare = whole.clone().with_shape(plan, None)?;
            let divergences = yardstick.divergences(&bare, None, 0..yardstick.len(), &Silent)?;
            losses.push(divergences.iter().sum::<f64>() / divergences.len().max(1) as f64);
            progress.advance(1);
        }
        let tried = Self { schema: 6, calibration, seed, offered, plans, losses };
        keep(&path, &tried)?;
        Ok(tried)
    }
}

fn plans(
    whole: &Checkpoint,
    statistics: &Statistics,
    channels: &ChannelOrders,
    offered: &OfferedSizes,
    progress: &dyn Progress,
) -> Result<Vec<ShapePlan>, CompressError> {
    let of = whole.spec.layers.len();
    let uncut: Vec<KeptLayer> = (0..of).map(KeptLayer::whole).collect();
    let mut of_heads = vec![uncut.clone()];
    for &heads in &offered.heads {
        let request = ShapeRequest {
            layers: Layers::All,
            heads: Some(heads),
            ffn: None,
            hidden: None,
            uneven: false,
            importance: Importance::Obs,
            repair: Repair::Solve,
        };
        of_heads.push(choose_shape(whole, statistics, &request, 0, progress)?.layers);
    }
    let even = offered.widths.iter().map(|&width| channels.even(width));
    let with_step = |step: usize| offered.means.iter().map(move |&mean| channels.uneven(mean, step));
    let uneven = offered.steps.iter().flat_map(|&step| with_step(step));
    let mut of_widths: Vec<Vec<KeptLayer>> = vec![uncut];
    for ShapePlan { layers, .. } in even.chain(uneven) {
        // layers that are all the same keep the same
        if !of_widths.contains(&layers) {
            of_widths.push(layers);
        }
    }
    let fewest = offered.layers.iter().copied().min().unwrap_or(of);
    let order = if fewest < of && !offered.by_influence {
        drop_by_divergence(whole, fewest, statistics.sequences(), progress)?
    } else {
        Vec::new()
    };
    let gone = |kept: usize| {
        if offered.by_influence {
            drop_by_influence(statistics.block_influence(), kept)
        } else {
            order[..of - kept].to_vec()
        }
    };
    let mut plans = Vec::new();
    for &kept in std::iter::once(&of).chain(&offered.layers) {
        let gone = gone(kept);
        for heads in &of_heads {
            for widths in &of_widths {
                let stays = |layer: &KeptLayer| !gone.contains(&layer.layer);
                let layers =
                    heads.iter().zip(widths).filter(|(layer, _)| stays(layer)).map(|(of_heads, of_width)| {
                        KeptLayer {
                            layer: of_heads.layer,
                            kv_heads: of_heads.kv_heads.clone(),
                            ffn: of_width.ffn.clone(),
                        }
                    });
                plans.push(ShapePlan { of, layers: layers.collect(), hidden: None, repair: Repair::Solve });
            }
        }
    }
    // the first of all is the model as it is
    plans.remove(0);
    Ok(plans)
}
