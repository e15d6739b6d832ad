//! The hidden states that a run leaves behind after each layer, so that another goes on from there. They may be more than memory holds, so they pass a text at a time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use secateur_model::stored::NewTensor;
use secateur_model::{ModelError, TensorType};
use sha2::{Digest, Sha256};

use super::StatisticsError;
use super::tensor_file::{self, Label, bytes_of};
use crate::checksum::hexadecimal;
use crate::forward::TokenRows;

/// The one tensor of the file.
const NAME: &str = "hidden";

/// More than any header of one tensor has.
const MOST_HEADER_BYTES: u64 = 1 << 16;

/// Writes all rows as safetensors: whole, or not at all.
pub(super) fn write(path: &Path, label: Label, rows: &mut TokenRows) -> Result<(), StatisticsError> {
    let mut hasher = Sha256::new();
    for text in 0..rows.texts() {
        hasher.update(bytes_of(&rows.get(text)?));
    }
    let label = Label { sha256: hexadecimal(&hasher.finalize()), ..label };
    let tensor =
        NewTensor { name: NAME.to_owned(), shape: vec![rows.numbers()], tensor_type: TensorType::F32 };
    let in_file = |source| ModelError::TensorWrite { path: path.to_owned(), source };
    let mut writer = tensor_file::begin(path, &label, &[tensor])?;
    writer.begin(NAME).map_err(in_file)?;
    for text in 0..rows.texts() {
        writer.write_all(bytes_of(&rows.get(text)?)).map_err(in_file)?;
    }
    Ok(writer.finish().map_err(in_file)?.commit()?)
}

/// Reads what [`write`] has written for this fingerprint into `rows`; gives the layer that comes next. `None` if it is not there, not whole, or not of these texts: what `rows` hold is worth nothing then.
pub(super) fn read(path: &Path, fingerprint: &str, rows: &mut TokenRows) -> Option<usize> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let label = label(&mut file)?;
    let mut hasher = Sha256::new();
    for text in 0..rows.texts() {
        let mut values = vec![0.0_f32; rows.numbers_of(text)];
        file.read_exact(bytemuck::cast_slice_mut(&mut values)).ok()?;
        hasher.update(bytes_of(&values));
        rows.put(text, &values).ok()?;
    }
    let is_at_end = matches!(file.read(&mut [0]), Ok(0));
    let is_whole = label.fingerprint == fingerprint && label.sha256 == hexadecimal(&hasher.finalize());
    (is_at_end && is_whole).then_some(label.next_layer?)
}

/// What stands in front of the numbers.
fn label(file: &mut impl Read) -> Option<Label> {
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let bytes = u64::from_le_bytes(length);
    let mut header = Vec::new();
    if bytes > MOST_HEADER_BYTES || file.take(bytes).read_to_end(&mut header).ok()? as u64 != bytes {
        return None;
    }
    tensor_file::label(&serde_json::from_slice(&header).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rows(folder: &Path) -> TokenRows {
        TokenRows::new([2, 3].into_iter(), 4, folder).unwrap()
    }

    fn label() -> Label {
        Label {
            fingerprint: "of this".to_owned(),
            sha256: String::new(),
            tokens: 5,
            block_influence: None,
            next_layer: Some(7),
        }
    }

    #[test]
    fn what_was_written_comes_back_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden");
        let mut written = rows(folder.path());
        written.put(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
        written.put(1, &[9.0; 12]).unwrap();
        write(&path, label(), &mut written).unwrap();
        // a file of statistics like any other
        let (_, tensors) = tensor_file::read(&path, "of this").unwrap().unwrap();
        assert_eq!(tensors["hidden"].1.len(), 20);

        let mut found = rows(folder.path());
        assert_eq!(read(&path, "of this", &mut found), Some(7));
        assert_eq!(found.get(0).unwrap(), written.get(0).unwrap());
        assert_eq!(found.get(1).unwrap(), written.get(1).unwrap());

        assert_eq!(read(&path, "of that", &mut rows(folder.path())), None);
        assert_eq!(read(&folder.path().join("nothing"), "of this", &mut rows(folder.path())), None);
        let mut longer = TokenRows::new([2, 4].into_iter(), 4, folder.path()).unwrap();
        assert_eq!(read(&path, "of this", &mut longer), None);
        let mut shorter = TokenRows::new([2, 2].into_iter(), 4, folder.path()).unwrap();
        assert_eq!(read(&path, "of this", &mut shorter), None);
        let whole = fs::read(&path).unwrap();
        for place in [3, 12, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(&path, "of this", &mut rows(folder.path())), None, "byte {place}");
        }
    }
}
