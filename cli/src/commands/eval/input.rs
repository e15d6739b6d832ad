//! What `eval` reads: texts, and what they need of a model.

use std::fs;
use std::path::{Path, PathBuf};

use secateur_compress::measure::{Alignment, Chunks, MeasureError};
use secateur_model::{Checkpoint, Tokenizer};

/// A text that is measured.
#[derive(Debug)]
pub struct Text {
    /// As tables name it.
    pub name: String,
    /// As the parent has it, or the model if there is none.
    pub chunks: Chunks,
    /// Beside how the child has it, if its vocabulary is another one.
    pub alignment: Option<Alignment>,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("`{}` cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is empty; give a text", path.display())]
    EmptyText { path: PathBuf },
    #[error("`{}` is no UTF-8 text: byte {position} does not belong there", path.display())]
    NotUtf8 { path: PathBuf, position: usize },
    #[error("`{}` has no tokenizer, so no text can be measured; add tokenizer.json beside it", model.display())]
    NoTokenizer { model: PathBuf },
    #[error("`{name}`: {source}")]
    Text { name: String, source: Box<MeasureError> },
    #[error("a base file belongs to one text, {texts} are given; run eval once for each")]
    OneTextPerBase { texts: usize },
}

impl EvalError {
    pub fn text(name: &str, source: MeasureError) -> Self {
        Self::Text { name: name.to_owned(), source: Box::new(source) }
    }
}

/// The name and content of each file.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, String)>, EvalError> {
    paths.iter().map(|path| Ok((name_of(path), read(path)?))).collect()
}

fn read(path: &Path) -> Result<String, EvalError> {
    let bytes = fs::read(path).map_err(|source| EvalError::Read { path: path.to_owned(), source })?;
    if bytes.is_empty() {
        return Err(EvalError::EmptyText { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        EvalError::NotUtf8 { path: path.to_owned(), position }
    })
}

/// The name without its folder: tables are narrow.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub fn tokenizer_of(checkpoint: &Checkpoint) -> Result<&Tokenizer, EvalError> {
    checkpoint.tokenizer.as_ref().ok_or_else(|| EvalError::NoTokenizer { model: checkpoint.source.clone() })
}
