//! A smaller tokenizer.json of the kinds that no family of ours uses: Unigram and WordPiece, as JSON to JSON.
//!
//! Neither needs what its tokens are made of. Unigram takes the segmentation of the highest total score: if it has kept
//! tokens alone, it is still there, and all others were worse. WordPiece takes the longest token that a word starts with:
//! if that one is kept, no longer one has come.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::files::TOKENIZER_JSON;
use crate::tokenizer::byte_alphabet::byte_of_token;
use crate::tokenizer::{Need, NewIds, TokenizerError};

/// A tokenizer.json with the tokens `kept` alone, numbered by their position there.
///
/// # Errors
/// When it is no tokenizer.json of these kinds, the ids do not ascend or are not in the vocabulary, or a token is not kept
/// that must be: special tokens, the unknown, bytes, single characters where there are no bytes, and Unigram's piece of the
/// lowest score, from which that of unknown characters is made.
pub fn keep_json(json: &[u8], kept: &[u32]) -> Result<Vec<u8>, TokenizerError> {
    let error = |source| TokenizerError::Json { file: TOKENIZER_JSON, source };
    let mut json: Value = serde_json::from_slice(json).map_err(error)?;
    let model = Model::read(&json["model"])?;
    let added = added_tokens(&json);
    let tokens = model.texts.keys().chain(added.keys()).max().map_or(0, |&id| id as usize + 1);
    let new_ids = NewIds::new(kept, tokens)?;
    let special = added.iter().filter(|(_, token)| token["special"] == true);
    let required = special.map(|(&id, _)| (id, Need::Control)).chain(model.required());
    for (id, need) in required {
        if new_ids.get(id).is_none() {
            let text = model.texts.get(&id).map_or_else(|| text_of(&added[&id]), Clone::clone);
            return Err(TokenizerError::RequiredNotKept { id, text, need });
        }
    }
    model.keep(&mut json["model"], &new_ids);
    if let Some(tokens) = json.get_mut("added_tokens").and_then(Value::as_array_mut) {
        tokens.retain_mut(|token| token.get_mut("id").is_some_and(|id| renumber(id, &new_ids)));
    }
    if let Some(processor) = json.get_mut("post_processor") {
        renumber_processor(processor, &new_ids);
    }
    if let Some(padding) = json.pointer_mut("/padding/pad_id") {
        renumber(padding, &new_ids);
    }
    serde_json::to_vec(&json).map_err(error)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unigram,
    WordPiece,
}

struct Model {
    kind: Kind,
    texts: BTreeMap<u32, String>,
    /// Unigram alone has scores.
    scores: Vec<f64>,
    unknown: Option<u32>,
    /// What the pieces within a word start with.
    prefix: String,
}

impl Model {
    fn read(model: &Value) -> Result<Self, TokenizerError> {
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default().to_owned();
        match (model["type"].as_str(), &model["vocab"]) {
            (Some("Unigram"), Value::Array(pieces)) => Ok(Self {
                kind: Kind::Unigram,
                texts: (0..).zip(pieces).map(|(id, piece)| (id, text_of(&piece[0]))).collect(),
                scores: pieces.iter().map(|piece| piece[1].as_f64().unwrap_or_default()).collect(),
                unknown: id_of(&model["unk_id"]),
                prefix: String::new(),
            }),
            (Some("WordPiece"), Value::Object(pieces)) => Ok(Self {
                kind: Kind::WordPiece,
                texts: pieces.iter().filter_map(|(text, id)| Some((id_of(id)?, text.clone()))).collect(),
                scores: Vec::new(),
                unknown: model["unk_token"].as_str().and_then(|text| id_of(&pieces[text])),
                prefix,
            }),
            (found, _) => Err(TokenizerError::UnknownJsonModel {
                file: TOKENIZER_JSON,
                found: found.unwrap_or("none").to_owned(),
            }),
        }
    }

    fn required(&self) -> impl Iterator<Item = (u32, Need)> {
        let is_byte = |text: &str| self.kind == Kind::Unigram && byte_of_token(text).is_some();
        let has_bytes = self.texts.values().filter(|text| is_byte(text)).count() == 256;
        let is_one = |text: &str| text.chars().nth(1).is_none();
        let is_character =
            move |text: &str| is_one(text) || text.strip_prefix(&self.prefix).is_some_and(is_one);
        let lowest = (0..).zip(&self.scores).min_by(|(_, first), (_, second)| first.total_cmp(second));
        let spelling = self.texts.iter().filter_map(move |(&id, text)| match text {
            text if has_bytes && is_byte(text) => Some((id, Need::Byte)),
            text if !has_bytes && is_character(text) => Some((id, Need::Character)),
            _ => None,
        });
        let unknown = self.unknown.map(|id| (id, Need::Control));
        unknown.into_iter().chain(lowest.map(|(id, _)| (id, Need::LowestScore))).chain(spelling)
    }

    fn keep(&self, model: &mut Value, new_ids: &NewIds) {
        match &mut model["vocab"] {
            Value::Array(pieces) => {
                let mut id = 0..;
                pieces.retain(|_| id.next().is_some_and(|id| new_ids.get(id).is_some()));
                if let Some(unknown) = model.get_mut("unk_id") {
                    renumber(unknown, new_ids);
                }
            }
            vocabulary => {
                let kept =
                    self.texts.iter().filter_map(|(&id, text)| Some((text.clone(), new_ids.get(id)?.into())));
                *vocabulary = Value::Object(kept.collect::<Map<_, _>>());
            }
        }
    }
}

/// The added tokens by id.
fn added_tokens(json: &Value) -> BTreeMap<u32, Value> {
    let tokens = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    tokens.iter().filter_map(|token| Some((id_of(&token["id"])?, token.clone()))).collect()
}

fn id_of(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// The text of a piece, or of an added token.
fn text_of(value: &Value) -> String {
    value.as_str().or_else(|| value["content"].as_str()).unwrap_or_default().to_owned()
}

/// Puts the new id in the place of the old one; false if there is none.
fn renumber(value: &mut Value, new_ids: &NewIds) -> bool {
    let new = id_of(value).and_then(|id| new_ids.get(id));
    if let Some(id) = new {
        *value = id.into();
    }
    new.is_some()
}

/// What a post-processor adds are special tokens, all of which are kept.
fn renumber_processor(processor: &mut Value, new_ids: &NewIds) {
    for inner in processor.get_mut("processors").and_then(Value::as_array_mut).into_iter().flatten() {
        renumber_processor(inner, new_ids);
    }
    let specials = processor.get_mut("special_tokens").and_then(Value::as_object_mut);
    for token in specials.into_iter().flat_map(Map::values_mut) {
        for id in token.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten() {
            renumber(id, new_ids);
        }
    }
    // `["[SEP]", 102]`
    for end in ["sep", "cls"] {
        if let Some(id) = processor.get_mut(end).and_then(|end| end.get_mut(1)) {
            renumber(id, new_ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::Tokenizer;

    use super::*;

    /// All strings of up to six letters of which the last is unknown to the vocabularies.
    fn texts() -> Vec<String> {
        let mut texts = vec![String::new()];
        for _ in 0..6 {
            let longer =
                texts.iter().flat_map(|text| ["a", "b", "c", "x"].map(|letter| format!("{text}{letter}")));
            texts = std::iter::once(String::new()).chain(longer).collect();
        }
        texts
    }

    /// The parent's special tokens are the first three, its characters the next six.
    fn parent(kind: Kind) -> Value {
        let specials = ["[UNK]", "[CLS]", "[PAD]"];
        let pieces = match kind {
            Kind::Unigram => [
                "a", "b", "c", "d", "e", "f", "ab", "bc", "abc", "cab", "aab", "bb", "ca", "cba", "cc",
                "bca", "acb", "aa",
            ],
            Kind::WordPiece => [
                "a", "b", "c", "##a", "##b", "##c", "ab", "bc", "abc", "cab", "##ab", "##bc", "##ca",
                "##abc", "##cba", "aab", "bb", "##bb",
            ],
        };
        let texts = specials.into_iter().chain(pieces);
        let model = match kind {
            Kind::Unigram => {
                let score = |id: usize| -((id * 7 % 11) as f64) - 1.0;
                let vocabulary: Vec<Value> =
                    texts.enumerate().map(|(id, text)| json!([text, score(id)])).collect();
                json!({"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": false})
            }
            Kind::WordPiece => json!({
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": texts.enumerate().map(|(id, text)| (text.to_owned(), id.into())).collect::<Map<_, _>>(),
            }),
        };
        let added = |id: u32, text: &str| json!({"id": id, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
        json!({
            "version": "1.0", "truncation": null, "normalizer": null, "pre_tokenizer": null, "decoder": null,
            "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 2, "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [added(0, "[UNK]"), added(1, "[CLS]"), added(2, "[PAD]"), added(21, "[SEP]")],
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 21], "cls": ["[CLS]", 1]},
            "model": model,
        })
    }

    fn encode(json: &[u8], text: &str) -> Vec<u32> {
        Tokenizer::from_bytes(json).unwrap().encode_fast(text, true).unwrap().get_ids().to_vec()
    }

    #[test]
    fn texts_of_kept_tokens_have_the_same_tokens_in_the_tokenizers_crate() {
        for kind in [Kind::Unigram, Kind::WordPiece] {
            let json = serde_json::to_vec(&parent(kind)).unwrap();
            let parents = Tokenizer::from_bytes(&json).unwrap();
            for without in [vec![], vec![9], vec![10, 13], vec![11, 12, 16, 18], vec![12, 15, 17, 20]] {
                let kept: Vec<u32> = (0..22).filter(|id| !without.contains(id)).collect();
                let smaller = keep_json(&json, &kept).unwrap();
                let cuts = Tokenizer::from_bytes(&smaller).unwrap();
                let new_ids = NewIds::new(&kept, 22).unwrap();
                let (mut same, mut other) = (0, 0);
                for text in texts() {
                    let before = parents.encode_fast(text.as_str(), true).unwrap();
                    let after = cuts.encode_fast(text.as_str(), true).unwrap();
                    match new_ids.all(before.get_ids()) {
                        Some(expected) => {
                            assert_eq!(after.get_ids(), expected, "{text} without {without:?}");
                            same += 1;
                        }
                        None => other += 1,
                    }
                    let unknown = |ids: &[u32]| ids.contains(&0);
                    assert_eq!(unknown(after.get_ids()), unknown(before.get_ids()), "{text}");
                }
                assert!(same > 500 && (other > 0) != without.is_empty(), "{same} {other}");
            }
        }
    }

    #[test]
    fn ids_follow_wherever_they_are() {
        let json = serde_json::to_vec(&parent(Kind::WordPiece)).unwrap();
        let kept: Vec<u32> = (0..22).filter(|&id| id != 12).collect();
        let smaller = keep_json(&json, &kept).unwrap();
        let read: Value = serde_json::from_slice(&smaller).unwrap();
        assert_eq!(read["added_tokens"][3]["id"], 20);
        assert_eq!(read["post_processor"]["sep"], json!(["[SEP]", 20]));
        assert_eq!(read["model"]["vocab"]["##bc"], 13);
        assert_eq!(read["padding"]["pad_id"], 2);
        assert_eq!(encode(&smaller, "ab"), [1, 9, 20]);
        let whole = keep_json(&json, &(0..22).collect::<Vec<_>>()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), parent(Kind::WordPiece));
    }

    #[test]
    fn what_must_stay_is_told() {
        let message = |kind: Kind, without: u32| {
            let json = serde_json::to_vec(&parent(kind)).unwrap();
            let kept: Vec<u32> = (0..22).filter(|&id| id != without).collect();
            keep_json(&json, &kept).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(
            message(Kind::WordPiece, 21).unwrap_err(),
            "token 21 (`[SEP]`) cannot be left out: it steers the model"
        );
        assert!(message(Kind::WordPiece, 6).unwrap_err().contains("it spells a character"));
        // -11 is the lowest score: ids 3, which is a character, and 14
        assert!(message(Kind::WordPiece, 14).is_ok());
        let error = keep_json(br#"{"model": {"type": "BPE", "vocab": {}}}"#, &[]).unwrap_err();
        assert!(matches!(error, TokenizerError::UnknownJsonModel { .. }), "{error}");
    }
}
