//! The files of a folder that make up its tokenizer.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::TokenizerJson;
use crate::tokenizer::TokenizerError;

pub(super) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(super) const TOKENIZER_MODEL: &str = "tokenizer.model";
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
pub(super) const CHAT_TEMPLATE: &str = "chat_template.jinja";
const CHAT_TEMPLATE_JSON: &str = "chat_template.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
const MORE_CHAT_TEMPLATES: &str = "additional_chat_templates";
const CONFIG: &str = "config.json";

/// Kept and written back, in this order.
const NAMES: [&str; 10] = [
    TOKENIZER_JSON,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    ADDED_TOKENS,
    TOKENIZER_MODEL,
    "vocab.json",
    "merges.txt",
    CHAT_TEMPLATE,
    CHAT_TEMPLATE_JSON,
    GENERATION_CONFIG,
];

/// A folder as read.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) tokenizer_json: Option<TokenizerJson>,
    /// `Value::Null` where there is no such file.
    pub(super) tokenizer_config: Value,
    pub(super) added_tokens: Value,
    pub(super) config: Value,
    pub(super) generation_config: Value,
    pub(super) chat_template: Option<Value>,
    /// Name and template.
    pub(super) more_chat_templates: Vec<(String, String)>,
}

impl Folder {
    pub(super) fn read(path: &Path) -> Result<Self, TokenizerError> {
        let mut files = Vec::new();
        for name in NAMES {
            if let Some(bytes) = read_if_there(&path.join(name))? {
                files.push((name.to_owned(), bytes));
            }
        }
        let json = |name| match find(&files, name) {
            Some(bytes) => parse(name, bytes),
            None => Ok(Value::Null),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let chat_template = match find(&files, CHAT_TEMPLATE) {
            Some(bytes) => Some(Value::String(text(bytes))),
            None => json(CHAT_TEMPLATE_JSON)?.get_mut("chat_template").map(Value::take),
        };
        let config = match read_if_there(&path.join(CONFIG))? {
            Some(bytes) => parse(CONFIG, &bytes)?,
            None => Value::Null,
        };
        let mut folder = Self {
            path: path.to_owned(),
            tokenizer_json: find(&files, TOKENIZER_JSON).map(TokenizerJson::parse).transpose()?,
            tokenizer_config: json(TOKENIZER_CONFIG)?,
            added_tokens: json(ADDED_TOKENS)?,
            generation_config: json(GENERATION_CONFIG)?,
            config,
            chat_template,
            more_chat_templates: Vec::new(),
            files,
        };
        for name in template_names(&path.join(MORE_CHAT_TEMPLATES))? {
            let file = format!("{MORE_CHAT_TEMPLATES}/{name}.jinja");
            if let Some(bytes) = read_if_there(&path.join(&file))? {
                folder.more_chat_templates.push((name, text(&bytes)));
                folder.files.push((file, bytes));
            }
        }
        Ok(folder)
    }

    /// The bytes of `tokenizer.model`.
    pub(super) fn sentence_piece(&self) -> Option<&[u8]> {
        find(&self.files, TOKENIZER_MODEL)
    }
}

fn find<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    files.iter().find(|(other, _)| other == name).map(|(_, bytes)| bytes.as_slice())
}

fn parse(file: &'static str, bytes: &[u8]) -> Result<Value, TokenizerError> {
    serde_json::from_slice(bytes).map_err(|source| TokenizerError::Json { file, source })
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(TokenizerError::Io { path: path.to_owned(), source }),
    }
}

/// The names of `*.jinja` in a folder, sorted; none if there is no such folder.
fn template_names(folder: &Path) -> Result<Vec<String>, TokenizerError> {
    let error = |source| TokenizerError::Io { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(error(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".jinja")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
