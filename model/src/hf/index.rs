//! The index of weights that are spread over several files.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::json;

use super::SafetensorsError;
use super::folder::is_file_name;
use crate::stored::StoredTensor;

/// The content of `model.safetensors.index.json`. What it says about sizes is often wrong, so nothing here reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    /// Tensor name to file name.
    weight_map: BTreeMap<String, String>,
}

/// An index as transformers writes it; `total_size` counts the bytes of all tensors.
pub(super) fn index_json(total_size: u64, weight_map: &BTreeMap<&str, String>) -> Vec<u8> {
    let index = json!({"metadata": {"total_size": total_size}, "weight_map": weight_map});
    format!("{index:#}\n").into_bytes()
}

impl Index {
    /// Reads an index; all file names in it are plain names.
    pub(super) fn parse(json: &[u8]) -> Result<Self, SafetensorsError> {
        let index: Self = serde_json::from_slice(json).map_err(SafetensorsError::BadIndex)?;
        if index.weight_map.is_empty() {
            return Err(SafetensorsError::EmptyIndex);
        }
        for (tensor, file) in &index.weight_map {
            if !is_file_name(file) {
                return Err(SafetensorsError::NotAFileName { tensor: tensor.clone(), file: file.clone() });
            }
        }
        Ok(index)
    }

    /// The files, each once, sorted.
    pub(super) fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.weight_map.values().map(String::as_str).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Checks that `file` has the tensors that the index puts there, and no others.
    pub(super) fn check(&self, file: &str, tensors: &[StoredTensor]) -> Result<(), SafetensorsError> {
        let surplus =
            tensors.iter().find(|tensor| self.weight_map.get(&tensor.name).is_none_or(|at| at != file));
        if let Some(tensor) = surplus {
            let (tensor, file) = (tensor.name.clone(), file.to_owned());
            return Err(SafetensorsError::SurplusTensor { tensor, file });
        }
        let present: HashSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let missing =
            self.weight_map.iter().find(|(name, at)| *at == file && !present.contains(name.as_str()));
        match missing {
            Some((tensor, _)) => {
                Err(SafetensorsError::MissingTensor { tensor: tensor.clone(), file: file.to_owned() })
            }
            None => Ok(()),
        }
    }
}
