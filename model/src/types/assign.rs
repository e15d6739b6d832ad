//! The type of every tensor of a model, from its spec alone.

use super::{Assigned, RequestError, TypeRequest};
use crate::family::FamilyTable;
use crate::plan::TensorPlan;
use crate::{ModelSpec, TensorId, TensorType};

/// Decides the type of every tensor and counts its bytes, in the order in which they are written.
///
/// `stored` tells how the source keeps a tensor, where there is a source.
///
/// # Errors
/// If a pattern of the request matches nothing.
pub fn plan_tensors(
    spec: &ModelSpec,
    request: &TypeRequest,
    stored: impl Fn(TensorId) -> Option<TensorType>,
) -> Result<Vec<TensorPlan>, RequestError> {
    let table = spec.family.table();
    let mut tensors = Vec::new();
    for id in spec.tensor_ids() {
        // every id of a spec has a shape, and every role of a family a GGUF name
        let (Some(shape), Some(name)) = (spec.shape(id), table.gguf_name(id)) else { continue };
        tensors.push(plan_tensor(spec, request, id, name, shape, stored(id)));
    }
    share_types(table, &mut tensors);
    let matrices: Vec<String> = tensors
        .iter()
        .filter(|tensor| tensor.id.role.is_matrix())
        .map(|tensor| tensor.name.clone())
        .collect();
    request.check_patterns(&matrices)?;
    Ok(tensors)
}

fn plan_tensor(
    spec: &ModelSpec,
    request: &TypeRequest,
    id: TensorId,
    name: String,
    shape: Vec<usize>,
    stored: Option<TensorType>,
) -> TensorPlan {
    let row_len = shape[shape.len() - 1];
    let Assigned { asked, given } = if id.role.is_matrix() {
        request.assign(spec, id, &name, row_len, stored)
    } else {
        Assigned { asked: TensorType::F32, given: TensorType::F32 }
    };
    let elements: usize = shape.iter().product();
    // the fallback is legal for the row length by its construction
    let row_bytes = given.row_bytes(row_len).unwrap_or(row_len * size_of::<f32>());
    TensorPlan {
        id,
        name,
        from: stored.unwrap_or(TensorType::F32),
        to: given,
        instead_of: (asked != given).then_some(asked),
        bytes: (elements / row_len * row_bytes) as u64,
        damage: None,
        shape,
    }
}

/// Matrices that are one in the file have one type: of those that were given, the one with the most bits.
fn share_types(table: &FamilyTable, tensors: &mut [TensorPlan]) {
    let joined = tensors.chunk_by_mut(|a, b| table.joined(a.id).contains(&b.id));
    for group in joined.filter(|group| group.len() > 1) {
        let bits = |tensor: &&TensorPlan| tensor.to.bits_per_weight();
        let Some(finest) = group.iter().max_by(|a, b| bits(a).total_cmp(&bits(b))) else { continue };
        let (to, instead_of) = (finest.to, finest.instead_of);
        for tensor in group {
            // rows of joined matrices are of one length: what is legal for one is legal for all
            tensor.store_as(to);
            tensor.instead_of = instead_of;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::FileBytes;
    use crate::types::TypeChoice;
    use crate::{Checkpoint, Family, Role, demo};

    #[test]
    fn joined_matrices_that_were_stored_apart_get_the_finest_of_their_types() {
        let model = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let stored = |id: TensorId| match id.role {
            Role::AttentionValue => Some(TensorType::Q8_0),
            _ => Some(TensorType::Q4_0),
        };
        let types = |family: Family| {
            let spec = ModelSpec { family, ..model.spec.clone() };
            let request = TypeRequest { base: TypeChoice::Source, overrides: Vec::new() };
            let tensors = plan_tensors(&spec, &request, stored).unwrap();
            let qkv = [Role::AttentionQuery, Role::AttentionKey, Role::AttentionValue];
            qkv.map(|role| {
                let tensor = tensors.iter().find(|tensor| tensor.id == TensorId::in_layer(0, role)).unwrap();
                (tensor.to, tensor.bytes)
            })
        };
        let (four, eight) = (TensorType::Q4_0, TensorType::Q8_0);
        // 160, 80 and 80 rows of 160
        assert_eq!(types(Family::OpenElm), [(eight, 160 * 170), (eight, 80 * 170), (eight, 80 * 170)]);
        assert_eq!(types(Family::Llama), [(four, 160 * 90), (four, 80 * 90), (eight, 80 * 170)]);
    }
}
