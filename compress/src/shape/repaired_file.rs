//! The file of tensors that take the place of others, written one after the other.

use std::path::{Path, PathBuf};

use secateur_model::atomic_file::AtomicFile;
use secateur_model::hf::SafetensorsLayout;
use secateur_model::stored::NewTensor;
use secateur_model::tensor_writer::TensorWriter;
use secateur_model::{ModelError, TensorId, TensorType, repaired_name};

use crate::CompressError;

/// A file on its way; it appears whole or not at all.
pub(super) struct RepairedFile {
    writer: TensorWriter<AtomicFile>,
    path: PathBuf,
}

impl RepairedFile {
    /// Will hold these tensors, in this order, as `f32`.
    pub fn create(path: &Path, tensors: &[(TensorId, Vec<usize>)]) -> Result<Self, CompressError> {
        let new_tensors: Vec<_> = tensors
            .iter()
            .map(|(id, shape)| NewTensor {
                name: repaired_name(*id),
                shape: shape.clone(),
                tensor_type: TensorType::F32,
            })
            .collect();
        let layout = SafetensorsLayout::new(&new_tensors)
            .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
        let writer = layout
            .start(AtomicFile::create(path)?)
            .map_err(|source| CompressError::Write { path: path.to_owned(), source })?;
        Ok(Self { writer, path: path.to_owned() })
    }

    /// The next tensor.
    pub fn put(&mut self, id: TensorId, values: &[f32]) -> Result<(), CompressError> {
        let in_file = |source| ModelError::TensorWrite { path: self.path.clone(), source };
        self.writer.begin(&repaired_name(id)).map_err(in_file)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.writer.write_all(&bytes).map_err(in_file)?)
    }

    /// All are there.
    pub fn finish(self) -> Result<(), CompressError> {
        let in_file = |source| ModelError::TensorWrite { path: self.path.clone(), source };
        Ok(self.writer.finish().map_err(in_file)?.commit()?)
    }
}
