//! The smaller shape, if one is asked for.

use std::path::PathBuf;

use secateur_compress::CompressError;
use secateur_compress::progress::Progress;
use secateur_compress::shape::{Layers, ShapeRequest, choose_shape, repair, repaired_path};
use secateur_compress::statistics::{self, Place, Sequence};
use secateur_model::shape::{Repair, ShapePlan};
use secateur_model::{Checkpoint, ModelSpec};
use secateur_reports::compression::SmallerShape;
use secateur_reports::search::SearchRecord;

use super::calibrated::{sequences, split};
use crate::arguments::{CompressArguments, LayerChoice, ShapeArguments, USUAL_TOKENS};
use crate::cache;

/// A model in its shape.
pub struct Shaped {
    pub checkpoint: Checkpoint,
    /// The model before, if it was cut.
    pub parent: Option<Checkpoint>,
    /// Sequences to measure on.
    pub held_out: Vec<Sequence>,
    /// The file of repaired tensors, which the checkpoint reads.
    pub repaired: Vec<PathBuf>,
    pub told: Option<SmallerShape>,
    /// What a search found, if there was one.
    pub search: Option<SearchRecord>,
}

/// The model in the shape that is asked for, repaired; as it was if nothing is to go.
pub fn cut_shape(
    arguments: &CompressArguments,
    checkpoint: Checkpoint,
    seed: u64,
    progress: &dyn Progress,
) -> anyhow::Result<Shaped> {
    if !arguments.shape.are_given() {
        let held_out = Vec::new();
        return Ok(Shaped {
            checkpoint,
            parent: None,
            held_out,
            repaired: Vec::new(),
            told: None,
            search: None,
        });
    }
    let request = request(&arguments.shape);
    request.check(&checkpoint.spec).map_err(CompressError::from)?;
    let tokens = arguments.tokens.unwrap_or(USUAL_TOKENS);
    let (seen, held_out) =
        split(sequences(&arguments.texts, tokens, &checkpoint).map_err(CompressError::from)?);
    let place = Place::Cache(cache::folder()?);
    let calibration =
        statistics::calibrate(&checkpoint, &seen, &place, progress).map_err(CompressError::from)?;
    let statistics = &calibration.statistics;
    let shape = choose_shape(&checkpoint, statistics, &request, seed, progress)?;
    let bare = checkpoint.clone().with_shape(&shape, None)?;
    let told = told(&checkpoint.spec, &bare.spec, &shape, &request.importance.to_string());
    let repaired = match shape.repair {
        Repair::None => None,
        Repair::Bias | Repair::Solve => {
            let path = repaired_path(&cache::folder()?, &shape, statistics)?;
            if !path.is_file() {
                repair(&checkpoint, &bare, &shape, statistics, &path, progress)?;
            }
            Some(path)
        }
    };
    let smaller = match &repaired {
        Some(path) => checkpoint.clone().with_shape(&shape, Some(path))?,
        None => bare,
    };
    Ok(Shaped {
        checkpoint: smaller,
        parent: Some(checkpoint),
        held_out,
        repaired: repaired.into_iter().collect(),
        told: Some(told),
        search: None,
    })
}

fn request(arguments: &ShapeArguments) -> ShapeRequest {
    let layers = match (arguments.layers, &arguments.keep_layers, arguments.layer_choice) {
        (Some(kept), _, LayerChoice::Divergence) => Layers::ByDivergence(kept),
        (Some(kept), _, LayerChoice::Influence) => Layers::ByInfluence(kept),
        (None, Some(listed), _) => {
            Layers::Listed(listed.indices().iter().map(|&layer| layer as usize).collect())
        }
        (None, None, _) => Layers::All,
    };
    ShapeRequest {
        layers,
        heads: arguments.heads,
        ffn: arguments.ffn,
        hidden: arguments.hidden,
        uneven: arguments.uneven,
        importance: arguments.importance,
        repair: arguments.repair,
    }
}

pub(super) fn told(
    before: &ModelSpec,
    after: &ModelSpec,
    shape: &ShapePlan,
    importance: &str,
) -> SmallerShape {
    let both = |size: fn(&ModelSpec) -> usize| (size(before), size(after));
    let stays = |layer: &usize| shape.layers.iter().any(|kept| kept.layer == *layer);
    SmallerShape {
        layers: both(|spec| spec.layers.len()),
        heads: both(|spec| {
            spec.layers.first().and_then(|layer| layer.attention()).map_or(0, |attention| attention.heads)
        }),
        ffn: both(|spec| spec.layers.first().and_then(|layer| layer.gated()).map_or(0, |gated| gated.width)),
        uneven_ffn: after.uneven_layer().map_or_else(Vec::new, |_| {
            after.layers.iter().map(|layer| layer.gated().map_or(0, |gated| gated.width)).collect()
        }),
        hidden: both(|spec| spec.hidden_size),
        parameters: (before.parameter_count(), after.parameter_count()),
        layers_gone: (0..shape.of).filter(|layer| !stays(layer)).collect(),
        importance: importance.to_owned(),
        repair: shape.repair.to_string(),
    }
}
