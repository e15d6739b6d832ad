//! Matrices rounded by importance; each is rounded once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secateur_compress::rounding::Importance;
use secateur_compress::{CompressError, quantize_tensor};
use secateur_model::{Checkpoint, TensorId, TensorType};

use crate::importance;
use crate::shapes::Shape;

/// Of which shape, which matrix, in what type.
type Key = (usize, TensorId, TensorType);

/// Rounded matrices of all shapes of a model.
pub(crate) struct RoundedMatrices {
    /// `E[x²]` of what each matrix of the whole model reads.
    importance: Importance,
    held: Mutex<BTreeMap<Key, Arc<[u8]>>>,
}

impl RoundedMatrices {
    pub fn new(importance: Importance) -> Self {
        Self { importance, held: Mutex::new(BTreeMap::new()) }
    }

    /// The bytes of a matrix of `model`, which has the shape number `key.0`.
    pub fn get(&self, model: &Checkpoint, shape: &Shape, key: Key) -> Result<Arc<[u8]>, CompressError> {
        if let Some(bytes) = self.held().get(&key) {
            return Ok(Arc::clone(bytes));
        }
        let (_, id, tensor_type) = key;
        let rows = model.tensor(id)?;
        let mut values = vec![0.0; rows.rows() * rows.row_len()];
        rows.read(0..rows.rows(), &mut values)?;
        let importance = importance::in_shape(&self.importance, shape, id, rows.row_len());
        let bytes: Arc<[u8]> = quantize_tensor(tensor_type, &values, rows.row_len(), importance.as_deref())
            .map_err(|source| CompressError::Quantize { tensor: format!("{id:?}"), source })?
            .into();
        self.held().insert(key, Arc::clone(&bytes));
        Ok(bytes)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<[u8]>>> {
        // whoever panicked left the map whole: entries are inserted complete
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
