//! A fixture written in another type.

use std::error::Error;
use std::path::{Path, PathBuf};

use secateur_compress::Execution;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;
use secateur_model::types::{TypeChoice, TypeRequest};

/// Writes the model in a type to `folder`, under a name that the catalog of sizes knows.
///
/// # Errors
/// If the type is none, or the file cannot be written.
pub fn write_typed(
    checkpoint: &Checkpoint,
    tensor_type: &str,
    folder: &Path,
) -> Result<PathBuf, Box<dyn Error>> {
    let base: TypeChoice = tensor_type.parse()?;
    let plan = secateur_compress::plan(checkpoint, &TypeRequest { base, overrides: Vec::new() })?;
    let out = folder.join("out");
    secateur_compress::compress(checkpoint, &plan, &out, &Execution::default(), &Silent)?;
    let stem = checkpoint.source.file_stem().unwrap_or_default().to_string_lossy();
    let file = folder.join(format!("{stem}-{tensor_type}.gguf"));
    std::fs::rename(out.join("model.gguf"), &file)?;
    std::fs::remove_dir_all(&out)?;
    Ok(file)
}
