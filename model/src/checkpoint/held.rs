//! A model with tensors in memory in the place of its own.

use std::path::PathBuf;
use std::sync::Arc;

use super::CheckpointTensor;
use crate::stored::{FileBytes, StoredTensor};
use crate::{Checkpoint, ModelError, TensorId, TensorType};

/// A tensor in memory, rows in our order.
#[derive(Debug, Clone)]
pub struct HeldTensor {
    /// Which.
    pub id: TensorId,
    /// How its numbers are stored.
    pub tensor_type: TensorType,
    /// All rows, one after the other.
    pub bytes: Arc<[u8]>,
}

impl Checkpoint {
    /// The same model with other numbers in some of its tensors.
    ///
    /// # Errors
    /// If the model has no such tensor, or its shape in that type has another size.
    pub fn with_held(mut self, held: impl IntoIterator<Item = HeldTensor>) -> Result<Self, ModelError> {
        for HeldTensor { id, tensor_type, bytes } in held {
            let name = self.spec.family.table().gguf_name(id).unwrap_or_default();
            let shape = self
                .spec
                .shape(id)
                .ok_or_else(|| ModelError::MissingTensor { path: self.source.clone(), name: name.clone() })?;
            let row_len = shape.last().copied().unwrap_or(1);
            let rows = shape.iter().product::<usize>() / row_len.max(1);
            if tensor_type.row_bytes(row_len).map(|row| row * rows) != Some(bytes.len()) {
                return Err(ModelError::WrongShape {
                    path: self.source,
                    name,
                    expected: shape,
                    found: vec![bytes.len()],
                });
            }
            let size = bytes.len() as u64;
            let file = self.files.push_memory(PathBuf::from(&name), FileBytes::Shared(bytes));
            let stored = StoredTensor { name, shape, tensor_type, file, offset: 0, bytes: size };
            let other = CheckpointTensor::in_place_of(self.tensors.get(&id), stored);
            self.tensors.insert(id, other);
        }
        Ok(self)
    }
}
