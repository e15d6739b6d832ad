//! What `MODEL` on the command line may be.

use std::path::Path;

use secateur_model::stored::FileBytes;
use secateur_model::{Checkpoint, demo};

/// Why `MODEL` leads to no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelArgumentError {
    #[error("there is no `{found}`; give a Hugging Face folder, a GGUF file, or `demo`")]
    NotFound { found: String },
}

/// Opens the demo model, a folder or a file.
pub fn open(model: &str) -> anyhow::Result<Checkpoint> {
    let path = Path::new(model);
    if model == demo::NAME && !path.exists() {
        return Ok(Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF))?);
    }
    if !path.exists() {
        return Err(ModelArgumentError::NotFound { found: model.to_owned() }.into());
    }
    Ok(Checkpoint::open(path)?)
}
