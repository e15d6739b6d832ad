//! Where repaired tensors are kept until an artifact is written.

use std::fs;
use std::path::{Path, PathBuf};

use secateur_model::shape::ShapePlan;
use sha2::{Digest, Sha256};

use crate::CompressError;
use crate::checksum::hexadecimal;
use crate::statistics::Statistics;

/// Which matrices are solved; others are in other files.
const SOLVED: &str = "all-that-read-other-states";

/// In `cache`, the file that belongs to this shape of the model that the statistics are of. A file that is there is whole.
///
/// # Errors
/// If its folder cannot be made.
pub fn repaired_path(
    cache: &Path,
    shape: &ShapePlan,
    statistics: &Statistics,
) -> Result<PathBuf, CompressError> {
    let folder = cache.join("repaired");
    fs::create_dir_all(&folder).map_err(|source| CompressError::Write { path: folder.clone(), source })?;
    // a shape is plain data: nothing in it that JSON could refuse
    let shape = serde_json::to_string(shape).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let subject = format!("repaired {SOLVED} {version} {} {shape}", statistics.fingerprint());
    let digest = hexadecimal(&Sha256::digest(subject.as_bytes()));
    Ok(folder.join(format!("{}.safetensors", &digest[..32])))
}
