//! What errors in the columns of each matrix are weighed by.

use secateur_compress::CompressError;
use secateur_compress::allocation::Knowledge;
use secateur_compress::forward::Site;
use secateur_compress::statistics::Statistics;
use secateur_model::{Role, TensorId};

use crate::shapes::Shape;

/// `E[x xᵀ]` of what a matrix of a shape reads, `[in_features, in_features]`: of the inputs that stay, as the whole model has them. Of the token
/// embedding and the output matrix, what errors in their rows are weighed by.
///
/// # Errors
/// If statistics cannot be read.
pub(crate) fn in_shape(
    statistics: &Statistics,
    knowledge: &Knowledge,
    shape: &Shape,
    id: TensorId,
) -> Result<Vec<f32>, CompressError> {
    let (Some(layer), Some(site)) = (id.layer, Site::of(id.role)) else {
        return Ok(knowledge.vocabulary_second(id.role));
    };
    let kept = shape.plan.as_ref().map(|plan| &plan.layers[layer]);
    let seen = statistics.layer(kept.map_or(layer, |kept| kept.layer))?;
    let Some(moments) = seen.site(site) else { return Ok(Vec::new()) };
    let (second, width) = (moments.second(), moments.width());
    let channels = kept.and_then(|kept| kept.ffn.as_ref()).filter(|_| id.role == Role::FfnDown);
    let Some(channels) = channels else { return Ok(second) };
    let indices = channels.indices();
    let row = |&row: &u32| {
        let row = &second[row as usize * width..][..width];
        indices.iter().map(move |&column| row[column as usize])
    };
    Ok(indices.iter().flat_map(row).collect())
}
