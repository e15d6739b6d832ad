//! Files of numbers that know what they are of and whether they are whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorView};
use secateur_model::atomic_file::AtomicFile;
use secateur_model::hf::SafetensorsLayout;
use secateur_model::stored::NewTensor;
use secateur_model::tensor_writer::TensorWriter;
use secateur_model::{ModelError, TensorType};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StatisticsError;
use crate::checksum::hexadecimal;

/// The one entry of the metadata: [`Label`] as JSON.
const KEY: &str = "secateur";

/// What stands in front of the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    /// Names model, text and version.
    pub fingerprint: String,
    /// Of the numbers; empty until they are written.
    pub sha256: String,
    /// Tokens that were seen.
    pub tokens: u64,
    /// Of the layer that the file is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_influence: Option<f64>,
    /// The layer that comes next, in a file of hidden states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_layer: Option<usize>,
}

/// Tensors of one file, with their shapes.
pub(super) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Writes tensors as safetensors: whole, or not at all.
pub(super) fn write(path: &Path, mut label: Label, tensors: &Tensors) -> Result<(), StatisticsError> {
    label.sha256 = digest(tensors.values().map(|(_, values)| bytes_of(values)));
    let new_tensors: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, _))| NewTensor {
            name: name.clone(),
            shape: shape.clone(),
            tensor_type: TensorType::F32,
        })
        .collect();
    let in_file = |source| ModelError::TensorWrite { path: path.to_owned(), source };
    let mut writer = begin(path, &label, &new_tensors)?;
    // all are of one type: the layout keeps their order
    for (name, (_, values)) in tensors {
        writer.begin(name).map_err(in_file)?;
        writer.write_all(bytes_of(values)).map_err(in_file)?;
    }
    Ok(writer.finish().map_err(in_file)?.commit()?)
}

/// Begins such a file; `label` knows the digest of what will be written.
pub(super) fn begin(
    path: &Path,
    label: &Label,
    tensors: &[NewTensor],
) -> Result<TensorWriter<AtomicFile>, StatisticsError> {
    let unwritable = |source| StatisticsError::Write { path: path.to_owned(), source };
    let json = serde_json::to_string(label).map_err(|error| unwritable(error.into()))?;
    let layout = SafetensorsLayout::with_metadata(tensors, KEY, &json)
        .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
    layout.start(AtomicFile::create(path)?).map_err(unwritable)
}

/// Reads a file that [`write`] has written for this fingerprint; `None` if there is none.
pub(super) fn read(path: &Path, fingerprint: &str) -> Result<Option<(Label, Tensors)>, StatisticsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StatisticsError::Unreadable { path: path.to_owned(), source }),
    };
    parse(&bytes, fingerprint)
        .map(Some)
        .map_err(|reason| StatisticsError::Damaged { path: path.to_owned(), reason })
}

fn parse(bytes: &[u8], fingerprint: &str) -> Result<(Label, Tensors), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let label = label(&header)?;
    if label.fingerprint != fingerprint {
        return Err("it is of another model, text or version".to_owned());
    }
    let views: BTreeMap<_, _> = file.iter().collect();
    if digest(views.values().map(TensorView::data)) != label.sha256 {
        return Err("its numbers are not those that were written".to_owned());
    }
    let tensors = views.into_iter().map(|(name, view)| {
        let values = view.data().as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect();
        (name.to_owned(), (view.shape().to_vec(), values))
    });
    Ok((label, tensors.collect()))
}

/// The label in a header.
pub(super) fn label(header: &Metadata) -> Result<Label, String> {
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    serde_json::from_str(text.ok_or("it has no label")?).map_err(|error| error.to_string())
}

fn digest<'a>(tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    tensors.for_each(|bytes| hasher.update(bytes));
    hexadecimal(&hasher.finalize())
}

/// Numbers as they lie in memory, which is little-endian on every machine that we build for.
pub(super) fn bytes_of(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            fingerprint: "of this".to_owned(),
            sha256: String::new(),
            tokens: 7,
            block_influence: Some(0.1),
            next_layer: None,
        }
    }

    fn tensors() -> Tensors {
        let numbers = (0..12_u8).map(f32::from).collect::<Vec<_>>();
        [("b".to_owned(), (vec![3, 4], numbers.clone())), ("a".to_owned(), (vec![12], numbers))].into()
    }

    #[test]
    fn files_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        write(&path, label(), &tensors()).unwrap();
        let (read_label, read_tensors) = read(&path, "of this").unwrap().unwrap();
        assert_eq!(read_label, Label { sha256: read_label.sha256.clone(), ..label() });
        assert_eq!(read_tensors, tensors());
        assert_eq!(read(&folder.path().join("nothing"), "of this").unwrap(), None);
    }

    #[test]
    fn one_bit_one_byte_and_another_fingerprint_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        write(&path, label(), &tensors()).unwrap();
        let whole = fs::read(&path).unwrap();
        let refused = |bytes: &[u8], fingerprint: &str| {
            fs::write(&path, bytes).unwrap();
            matches!(read(&path, fingerprint), Err(StatisticsError::Damaged { .. }))
        };
        for (place, bit) in [(whole.len() - 1, 1), (whole.len() - 40, 128), (12, 4)] {
            let mut damaged = whole.clone();
            damaged[place] ^= bit;
            assert!(refused(&damaged, "of this"), "byte {place}");
        }
        assert!(refused(&whole[..whole.len() - 1], "of this"));
        assert!(refused(&[], "of this"));
        assert!(refused(&whole, "of that"));
    }
}
