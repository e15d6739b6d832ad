//! Biases in the place of what goes: the mean of what it gave.

use std::path::Path;

use secateur_model::shape::{KeptLayer, ShapePlan};
use secateur_model::{Checkpoint, Role, TensorId};

use super::repaired_file::RepairedFile;
use crate::CompressError;
use crate::forward::Site;
use crate::statistics::Statistics;

/// Writes, for every layer, biases that are greater by `W_S E[x_S]` for the inputs `x_S` of an output projection that go, and the zeros that must stand beside it:
/// families have biases on all projections of a part or on none.
///
/// Source: "Fluctuation-based Adaptive Structured Pruning for Large Language Models".
pub(super) fn write_biases(
    parent: &Checkpoint,
    smaller: &Checkpoint,
    shape: &ShapePlan,
    statistics: &Statistics,
    path: &Path,
) -> Result<(), CompressError> {
    let spec = &smaller.spec;
    let (heads, channels) = (
        shape.layers.iter().any(|kept| kept.kv_heads.is_some()),
        shape.layers.iter().any(|kept| kept.ffn.is_some()),
    );
    let mut tensors = Vec::new();
    for (new, layer) in spec.layers.iter().enumerate() {
        let mut add = |role, length| tensors.push((TensorId::in_layer(new, role), vec![length]));
        if let Some(attention) = layer.attention().filter(|_| heads) {
            let (queries, keys) =
                (attention.heads * attention.head_size, attention.kv_heads * attention.head_size);
            add(Role::AttentionQueryBias, queries);
            add(Role::AttentionKeyBias, keys);
            add(Role::AttentionValueBias, keys);
            add(Role::AttentionOutputBias, spec.hidden_size);
        }
        if let Some(gated) = layer.gated().filter(|_| channels) {
            add(Role::FfnGateBias, gated.width);
            add(Role::FfnUpBias, gated.width);
            add(Role::FfnDownBias, spec.hidden_size);
        }
    }
    let mut file = RepairedFile::create(path, &tensors)?;
    for (id, length) in tensors {
        let kept = &shape.layers[id.layer.unwrap_or_default()];
        let projection = match id.role {
            Role::AttentionOutputBias => Some((Role::AttentionOutput, Site::AttentionOutput)),
            Role::FfnDownBias => Some((Role::FfnDown, Site::FfnDown)),
            _ => None,
        };
        let mut bias = match spec.shape(id) {
            Some(_) => smaller.tensor(id)?.read_all()?,
            None => vec![0.0; length[0]],
        };
        if let Some((role, site)) = projection {
            let lost = lost_mean(parent, statistics, kept, role, site)?;
            bias.iter_mut().zip(lost).for_each(|(bias, lost)| *bias += lost);
        }
        file.put(id, &bias)?;
    }
    file.finish()
}

/// `W_S E[x_S]` over the inputs of a projection that go, `[hidden]`.
fn lost_mean(
    parent: &Checkpoint,
    statistics: &Statistics,
    kept: &KeptLayer,
    role: Role,
    site: Site,
) -> Result<Vec<f32>, CompressError> {
    let rows = parent.tensor(TensorId::in_layer(kept.layer, role))?;
    let seen = statistics.layer(kept.layer)?;
    let mut mean = seen.site(site).map(|moments| moments.mean().to_vec()).unwrap_or_default();
    let (indices, unit) = match (site, parent.spec.layers[kept.layer].attention()) {
        (Site::AttentionOutput, Some(attention)) => {
            (&kept.kv_heads, attention.heads / attention.kv_heads * attention.head_size)
        }
        _ => (&kept.ffn, 1),
    };
    match indices {
        None => mean.fill(0.0),
        Some(stay) => {
            for &index in stay.indices() {
                mean[index as usize * unit..(index as usize + 1) * unit].fill(0.0);
            }
        }
    }
    let mut row = vec![0.0; rows.row_len()];
    (0..rows.rows())
        .map(|output| {
            rows.read(output..output + 1, &mut row)?;
            let sum: f64 =
                row.iter().zip(&mean).map(|(&weight, &mean)| f64::from(weight) * f64::from(mean)).sum();
            Ok(sum as f32)
        })
        .collect()
}
