//! Matrices rounded with error feedback, as they will be written but for what follows layer by layer; each is rounded once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secateur_compress::CompressError;
use secateur_compress::rounding::USUAL_DAMPING;
use secateur_model::{Checkpoint, TensorId, TensorType};
use secateur_quantize::feedback::{Problem, round_matrix};

use crate::shapes::Shape;
use crate::{Subject, moments};

/// Of which shape, which matrix, in what type.
type Key = (usize, TensorId, TensorType);

/// Rounded matrices of all shapes of a model.
pub(crate) struct RoundedMatrices<'a> {
    subject: Subject<'a>,
    held: Mutex<BTreeMap<Key, Arc<[u8]>>>,
}

impl<'a> RoundedMatrices<'a> {
    pub fn new(subject: Subject<'a>) -> Self {
        Self { subject, held: Mutex::new(BTreeMap::new()) }
    }

    /// The bytes of a matrix of `model`, which has the shape number `key.0` and the whole vocabulary.
    pub fn get(&self, model: &Checkpoint, shape: &Shape, key: Key) -> Result<Arc<[u8]>, CompressError> {
        if let Some(bytes) = self.held().get(&key) {
            return Ok(Arc::clone(bytes));
        }
        let (_, id, tensor_type) = key;
        let rows = model.tensor(id)?;
        let values = rows.read_all()?;
        let name = || model.spec.family.table().gguf_name(id).unwrap_or_default();
        let second = moments::in_shape(self.subject.statistics, self.subject.knowledge, shape, id)?;
        let problem = Problem::new(&second, rows.row_len(), USUAL_DAMPING)
            .map_err(|source| CompressError::Moments { tensor: name(), source })?;
        let bytes: Arc<[u8]> = round_matrix(tensor_type, &values, &problem, 0)
            .map_err(|source| CompressError::Quantize { tensor: name(), source })?
            .into();
        self.held().insert(key, Arc::clone(&bytes));
        Ok(bytes)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<[u8]>>> {
        // whoever panicked left the map whole: entries are inserted complete
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
