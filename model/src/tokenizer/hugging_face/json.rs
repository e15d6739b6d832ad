//! tokenizer.json as far as we read it.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::files::TOKENIZER_JSON;
use crate::tokenizer::TokenizerError;

#[derive(Deserialize)]
pub(super) struct TokenizerJson {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
    pub(super) model: Model,
}

/// A token that is found in a text before anything else.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddedToken {
    /// Not in `added_tokens_decoder`, where it is the key.
    #[serde(default)]
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
    #[serde(default)]
    pub(super) normalized: bool,
}

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) vocab: IndexMap<String, u32>,
    merges: Vec<Merge>,
    pub(super) unk_token: Option<String>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    #[serde(default)]
    pub(super) ignore_merges: bool,
}

/// `"a b"` in older files, `["a", "b"]` since tokens may have spaces.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

/// What is looked at first: the vocabulary of other models has another shape.
#[derive(Deserialize)]
struct Outline {
    model: ModelOutline,
}

#[derive(Deserialize)]
struct ModelOutline {
    r#type: Option<String>,
}

impl TokenizerJson {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let error = |source| TokenizerError::Json { file: TOKENIZER_JSON, source };
        let outline: Outline = serde_json::from_slice(bytes).map_err(error)?;
        match outline.model.r#type.as_deref() {
            None | Some("BPE") => serde_json::from_slice(bytes).map_err(error),
            Some(found) => {
                Err(TokenizerError::UnknownJsonModel { file: TOKENIZER_JSON, found: found.to_owned() })
            }
        }
    }

    /// True if tokens are spelled in GPT-2's byte alphabet.
    pub(super) fn is_byte_level(&self) -> bool {
        !self.model.byte_fallback
    }

    /// The merges, the first first.
    pub(super) fn merges(&self) -> Result<Vec<(String, String)>, TokenizerError> {
        let merge = |(rank, merge): (usize, &Merge)| match merge {
            Merge::Pair(left, right) => Ok((left.clone(), right.clone())),
            Merge::Line(line) => read_line(rank, line),
        };
        self.model.merges.iter().enumerate().map(merge).collect()
    }

    /// True if a space is put before a text: by a `Prepend` normalizer, or by a `Metaspace` pre-tokenizer.
    pub(super) fn has_space_prefix(&self) -> bool {
        fn any(step: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
            let inner = step["normalizers"].as_array().or_else(|| step["pretokenizers"].as_array());
            wanted(step) || inner.is_some_and(|steps| steps.iter().any(|step| any(step, wanted)))
        }
        any(&self.normalizer, &|step| step["type"] == "Prepend")
            || any(&self.pre_tokenizer, &|step| {
                step["type"] == "Metaspace"
                    && step["prepend_scheme"] != "never"
                    && step["add_prefix_space"] != false
            })
    }
}

/// Two tokens with a space between them.
fn read_line(rank: usize, line: &str) -> Result<(String, String), TokenizerError> {
    crate::tokenizer::gguf::read_merge(rank, line)
}
