//! Ids of tokens in config.json and generation_config.json, which change with the vocabulary.

use serde_json::{Map, Value};

use crate::tokenizer::NewIds;

/// The ends of keys that hold an id, or several.
const ENDS: [&str; 3] = ["_token_id", "_token_ids", "_token_index"];

/// Keys that hold ids, too. The last has lists of them: words that must not be written.
const KEYS: [&str; 3] = ["suppress_tokens", "begin_suppress_tokens", "bad_words_ids"];

/// A config of the smaller vocabulary: `eos_token_id`, `suppress_tokens` and their like hold the new ids. What was left
/// out becomes null where it stood alone, and is missing from lists.
pub fn renumbered(config: &Value, new_ids: &NewIds) -> Value {
    match config {
        Value::Object(entries) => {
            Value::Object(entries.iter().map(|entry| renumbered_entry(entry, new_ids)).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn renumbered_entry((key, value): (&String, &Value), new_ids: &NewIds) -> (String, Value) {
    let holds_ids = ENDS.iter().any(|end| key.ends_with(end)) || KEYS.contains(&key.as_str());
    let value = if holds_ids { renumbered_ids(value, new_ids) } else { renumbered(value, new_ids) };
    (key.clone(), value)
}

fn renumbered_ids(value: &Value, new_ids: &NewIds) -> Value {
    let new = |id: &Value| new_ids.get(u32::try_from(id.as_u64()?).ok()?);
    match value {
        Value::Number(_) => new(value).map_or(Value::Null, Value::from),
        Value::Array(ids) if ids.iter().all(Value::is_number) => ids.iter().filter_map(new).collect(),
        Value::Array(words) => {
            // a word of which a token is gone is not written anyway
            let whole = |word: &Value| word.as_array()?.iter().map(new).collect::<Option<Vec<u32>>>();
            words.iter().filter_map(whole).map(Value::from).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_follow_and_all_else_stays() {
        let config = json!({
            "vocab_size": 8, "hidden_size": 5, "bos_token_id": 2, "eos_token_id": [1, 5, 7], "pad_token_id": 3,
            "image_token_index": 100, "sep_token_id": null, "unk_token_id": -1, "suppress_tokens": [5, 3],
            "bad_words_ids": [[1, 2], [3, 5]], "text_config": {"eos_token_id": 7, "layers": [2, 5]}
        });
        let new_ids = NewIds::new(&[1, 2, 5, 7], 8).unwrap();
        assert_eq!(
            renumbered(&config, &new_ids),
            json!({
                "vocab_size": 8, "hidden_size": 5, "bos_token_id": 1, "eos_token_id": [0, 2, 3], "pad_token_id": null,
                "image_token_index": null, "sep_token_id": null, "unk_token_id": null, "suppress_tokens": [2],
                "bad_words_ids": [[0, 1]], "text_config": {"eos_token_id": 3, "layers": [2, 5]}
            })
        );
    }
}
