//! Reads what earlier runs say of themselves.

use std::path::{Path, PathBuf};

use secateur_compress::RunRecord;
use serde::Deserialize;

/// Why a run.json cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunRecordError {
    #[error("`{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no record of a run: {source}", path.display())]
    NoRecord { path: PathBuf, source: serde_json::Error },
    #[error(
        "`{}` has schema {found}, this program reads {}; compress the model again, or use the version that wrote it",
        path.display(),
        RunRecord::SCHEMA
    )]
    OtherSchema { path: PathBuf, found: u32 },
}

/// The part of a record that every version has.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

/// Reads run.json.
pub fn read(path: &Path) -> Result<RunRecord, RunRecordError> {
    let bytes =
        std::fs::read(path).map_err(|source| RunRecordError::Unreadable { path: path.to_owned(), source })?;
    let no_record = |source| RunRecordError::NoRecord { path: path.to_owned(), source };
    let Versioned { schema } = serde_json::from_slice(&bytes).map_err(no_record)?;
    if schema != RunRecord::SCHEMA {
        return Err(RunRecordError::OtherSchema { path: path.to_owned(), found: schema });
    }
    serde_json::from_slice(&bytes).map_err(no_record)
}

/// The files of a run: its record, and the model beside it.
#[derive(Debug)]
pub struct RunFiles {
    pub record: PathBuf,
    /// As the command line takes models; `None` if the record stands alone.
    pub model: Option<String>,
}

impl RunFiles {
    /// What a user named, if it is a run and no other model: the artifact's folder, or its record.
    pub fn of(word: &str) -> Option<Self> {
        let path = Path::new(word);
        let record = if path.is_dir() { path.join("run.json") } else { path.to_owned() };
        let is_record = record.is_file() && record.extension().is_some_and(|extension| extension == "json");
        // a Hugging Face folder has a config.json, which can be priced
        if !is_record || record.file_name().is_some_and(|name| name == "config.json") {
            return None;
        }
        let model = record.with_file_name("model.gguf");
        let model = model.is_file().then(|| model.to_string_lossy().into_owned());
        Some(Self { record, model })
    }
}
