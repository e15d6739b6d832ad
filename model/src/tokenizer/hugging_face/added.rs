//! Added tokens: those of tokenizer.json, and those that only tokenizer_config.json has.

use serde_json::Value;

use super::files::{Folder, TOKENIZER_CONFIG};
use super::json::AddedToken;
use crate::tokenizer::TokenizerError;

/// SentencePiece's spelling of a space; llama.cpp looks for user-defined tokens in the text as it is.
const SPELLED_SPACE: &str = "▁";

/// The added tokens of both files; where an id is in both, tokenizer.json holds.
pub(super) fn of_both_files(folder: &Folder) -> Result<Vec<AddedToken>, TokenizerError> {
    let mut tokens = folder.tokenizer_json.as_ref().map_or_else(Vec::new, |json| json.added_tokens.clone());
    let known: std::collections::HashSet<u32> = tokens.iter().map(|token| token.id).collect();
    let decoder = of_config(folder)?.unwrap_or_default();
    tokens.extend(decoder.into_iter().filter(|token| !known.contains(&token.id)));
    Ok(tokens)
}

/// `added_tokens_decoder` of tokenizer_config.json, if it is there.
pub(super) fn of_config(folder: &Folder) -> Result<Option<Vec<AddedToken>>, TokenizerError> {
    let Value::Object(decoder) = &folder.tokenizer_config["added_tokens_decoder"] else { return Ok(None) };
    let error = |source| TokenizerError::Json { file: TOKENIZER_CONFIG, source };
    let token = |(id, value): (&String, &Value)| {
        let mut token: AddedToken = serde_json::from_value(value.clone()).map_err(error)?;
        token.id = serde_json::from_str(id).map_err(error)?;
        Ok(token)
    };
    decoder.iter().map(token).collect::<Result<_, _>>().map(Some)
}

impl AddedToken {
    /// A user-defined piece of tokenizer.model.
    pub(super) fn user_defined(id: u32, text: &str) -> Self {
        Self { id, content: text.to_owned(), special: false, normalized: false }
    }

    /// True for control tokens, also for those which the model's authors did not mark (`does_token_look_special`).
    pub(super) fn is_control(&self) -> bool {
        let text = self.content.as_str();
        let between = |start: &str, end: &str| text.starts_with(start) && text.ends_with(end);
        self.special
            || ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
            || between("<|", "|>")
            || between("<｜", "｜>")
            || between("<unused", ">")
    }

    /// The text as it stands in a text.
    pub(super) fn plain_text(&self) -> String {
        self.content.replace(SPELLED_SPACE, " ")
    }
}
