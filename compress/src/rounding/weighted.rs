//! Scales by importance, without feedback: what an importance matrix is enough for.

use std::collections::BTreeMap;

use secateur_model::{Checkpoint, TensorId};

use super::store::{Part, RoundedMatrices, RoundedStore, Types, matrices_of};
use crate::CompressError;
use crate::progress::Progress;
use secateur_quantize::quantize_tensor;

/// `E[x²]` of what each matrix reads, `[in_features]`. A matrix that is not in it is rounded to nearest.
pub type Importance = BTreeMap<TensorId, Vec<f32>>;

/// Rounds every matrix to the scales that lose least by importance; `store` holds the result.
///
/// # Errors
/// If something cannot be read, does not fit, is not finite, the disk refuses, or the user interrupts.
pub fn round_weighted(
    checkpoint: &Checkpoint,
    types: &Types,
    importance: &Importance,
    store: &RoundedStore,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    let layers = (0..checkpoint.spec.layers.len()).map(Part::Layer);
    progress.begin("rounding", layers.len() as u64 + 1);
    for part in std::iter::once(Part::Vocabulary).chain(layers) {
        progress.check()?;
        let wanted = matrices_of(checkpoint, part);
        if store.part(part, &wanted).is_none() {
            let mut rounded = RoundedMatrices::new();
            for id in wanted {
                let rows = checkpoint.tensor(id)?;
                let values = rows.read_all()?;
                let importance = importance.get(&id).map(Vec::as_slice);
                let bytes = quantize_tensor(types[&id], &values, rows.row_len(), importance);
                let name = || checkpoint.spec.family.table().gguf_name(id).unwrap_or_default();
                let bytes = bytes.map_err(|source| CompressError::Quantize { tensor: name(), source })?;
                rounded.insert(id, bytes);
            }
            store.keep(part, &rounded)?;
        }
        progress.advance(1);
    }
    Ok(())
}
