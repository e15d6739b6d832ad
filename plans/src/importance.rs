//! What errors in the columns of each matrix are weighed by.

use secateur_compress::CompressError;
use secateur_compress::rounding::Importance;
use secateur_model::{Role, TensorId};

use crate::Subject;
use crate::shapes::Shape;

/// `E[x²]` of what each matrix of the whole model reads.
pub(crate) fn of_whole(subject: &Subject) -> Result<Importance, CompressError> {
    let mut importance = Importance::new();
    for layer in 0..subject.whole.spec.layers.len() {
        let seen = subject.statistics.layer(layer)?;
        for (site, moments) in seen.sites() {
            for &role in site.roles() {
                importance.insert(TensorId::in_layer(layer, role), moments.diagonal());
            }
        }
    }
    for matrix in subject.knowledge.options.iter().filter(|matrix| matrix.id.layer.is_none()) {
        importance.insert(matrix.id, subject.knowledge.vocabulary_diagonal(matrix.id.role));
    }
    Ok(importance)
}

/// `E[x²]` of what a matrix of a shape reads: of the inputs that stay. Nothing where that is not known for a row of this width.
pub(crate) fn in_shape(whole: &Importance, shape: &Shape, id: TensorId, width: usize) -> Option<Vec<f32>> {
    let kept = shape.plan.as_ref().zip(id.layer).map(|(plan, layer)| &plan.layers[layer]);
    let before = kept.map_or(id, |kept| TensorId::in_layer(kept.layer, id.role));
    let importance = whole.get(&before)?;
    let of_channels = kept.and_then(|kept| kept.ffn.as_ref()).filter(|_| id.role == Role::FfnDown);
    let importance: Vec<f32> = match of_channels {
        Some(channels) => channels.indices().iter().map(|&index| importance[index as usize]).collect(),
        None => importance.clone(),
    };
    (importance.len() == width).then_some(importance)
}
