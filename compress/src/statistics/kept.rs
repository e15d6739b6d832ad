//! What was found out with statistics, kept beside them as JSON.

use std::io::Write as _;
use std::path::Path;

use secateur_model::atomic_file::AtomicFile;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::CompressError;

/// What was kept, if it is whole: what is damaged, or of another version, is made again.
pub fn read_kept<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Keeps it.
///
/// # Errors
/// If the file cannot be written.
pub fn keep<T: Serialize>(path: &Path, what: &T) -> Result<(), CompressError> {
    let unwritable = |source| CompressError::Write { path: path.to_owned(), source };
    let json = serde_json::to_vec(what).map_err(|error| unwritable(error.into()))?;
    let mut file = AtomicFile::create(path)?;
    file.write_all(&json).map_err(unwritable)?;
    Ok(file.commit()?)
}
