//! New files for a Hugging Face folder, from the value alone.
//!
//! Everything is in tokenizer.json and its class is `PreTrainedTokenizerFast`, which takes it as it is. The classes named
//! after models put together a tokenizer of their own.

use std::cmp::Reverse;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::files::{
    GENERATION_CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG, TOKENIZER_JSON, TOKENIZER_MODEL,
};
use super::write_model;
use crate::tokenizer::byte_alphabet::bytes_of_text;
use crate::tokenizer::keep::padding_text;
use crate::tokenizer::pre_tokenizer::{self, PreTokenizer};
use crate::tokenizer::{Special, TokenKind, Tokenizer, TokenizerError, TokenizerKind};

/// Roles that transformers has a name for.
const NAMED: [Special; 6] = [
    Special::BeginOfSequence,
    Special::EndOfSequence,
    Special::Unknown,
    Special::Separator,
    Special::Padding,
    Special::Mask,
];

pub(super) fn files(tokenizer: &Tokenizer) -> Result<Vec<(String, Vec<u8>)>, TokenizerError> {
    tokenizer.check_itself()?;
    let bytes = |file, json: serde_json::Result<Vec<u8>>| match json {
        Ok(bytes) => Ok((String::from(file), bytes)),
        Err(source) => Err(TokenizerError::Json { file, source }),
    };
    let mut files = vec![
        bytes(TOKENIZER_JSON, serde_json::to_vec(&tokenizer_json(tokenizer)?))?,
        bytes(TOKENIZER_CONFIG, serde_json::to_vec_pretty(&tokenizer_config(tokenizer)))?,
        bytes(SPECIAL_TOKENS_MAP, serde_json::to_vec_pretty(&special_tokens(tokenizer)))?,
    ];
    if let Some(config) = &tokenizer.generation_config {
        files.push(bytes(GENERATION_CONFIG, serde_json::to_vec_pretty(config))?);
    }
    files.extend(write_model::write(tokenizer).map(|model| (TOKENIZER_MODEL.to_owned(), model)));
    Ok(files)
}

#[derive(Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<Map<String, Value>>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Model<'a>,
}

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    dropout: Option<()>,
    unk_token: Option<&'a str>,
    continuing_subword_prefix: Option<()>,
    end_of_word_suffix: Option<()>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: IndexMap<&'a str, usize>,
    merges: Vec<(&'a str, &'a str)>,
}

fn tokenizer_json(tokenizer: &Tokenizer) -> Result<TokenizerJson<'_>, TokenizerError> {
    let frame = TokenizerJson {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: added_tokens(tokenizer).map(with_id).collect(),
        normalizer: Value::Null,
        pre_tokenizer: Value::Null,
        post_processor: Value::Null,
        decoder: Value::Null,
        model: Model {
            r#type: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab: vocabulary(tokenizer),
            merges: Vec::new(),
        },
    };
    Ok(match &tokenizer.kind {
        TokenizerKind::BytePair { pre_tokenizer, merges } => {
            byte_pair(frame, tokenizer, pre_tokenizer::require(pre_tokenizer)?, merges)
        }
        TokenizerKind::SentencePiece => sentence_piece(frame, tokenizer),
    })
}

fn byte_pair<'a>(
    frame: TokenizerJson<'a>,
    tokenizer: &Tokenizer,
    known: &PreTokenizer,
    merges: &'a [(String, String)],
) -> TokenizerJson<'a> {
    // it changes offsets only
    let offsets =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true});
    TokenizerJson {
        normalizer: if known.compose { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: known.to_json(),
        post_processor: match template(tokenizer) {
            Some(template) => json!({"type": "Sequence", "processors": [offsets, template]}),
            None => offsets,
        },
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model: Model {
            ignore_merges: known.ignore_merges,
            merges: merges.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect(),
            ..frame.model
        },
        ..frame
    }
}

fn sentence_piece<'a>(frame: TokenizerJson<'a>, tokenizer: &'a Tokenizer) -> TokenizerJson<'a> {
    let escape = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let unescape = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let mut decoders = vec![unescape, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    let normalizer = if tokenizer.adds_space_prefix() {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, escape]})
    } else {
        escape
    };
    TokenizerJson {
        normalizer,
        post_processor: template(tokenizer).unwrap_or(Value::Null),
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        model: Model {
            unk_token: text(tokenizer, Special::Unknown),
            fuse_unk: true,
            byte_fallback: true,
            merges: merges_by_score(tokenizer, &frame.model.vocab),
            ..frame.model
        },
        ..frame
    }
}

/// The id of each token but for the rows that nothing leads to.
fn vocabulary(tokenizer: &Tokenizer) -> IndexMap<&str, usize> {
    let padding = |id: usize| {
        let token = &tokenizer.tokens[id];
        token.kind == TokenKind::Unused && token.text == padding_text(id as u32)
    };
    let texts = tokenizer.tokens.iter().map(|token| token.text.as_str());
    texts.enumerate().filter(|&(id, _)| !padding(id)).map(|(id, text)| (text, id)).collect()
}

/// The tokens that are found in texts as a whole, with their ids.
fn added_tokens(tokenizer: &Tokenizer) -> impl Iterator<Item = (usize, Map<String, Value>)> {
    tokenizer.tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = match token.kind {
            TokenKind::Control | TokenKind::Unknown => true,
            TokenKind::UserDefined => false,
            TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => return None,
        };
        // a reader spells out the byte alphabet in tokens that are not normalized
        let normalized = matches!(tokenizer.kind, TokenizerKind::BytePair { .. })
            && bytes_of_text(&token.text).is_some_and(|bytes| bytes != token.text.as_bytes());
        let mut added = Map::new();
        added.insert("content".to_owned(), token.text.as_str().into());
        let switches = [("single_word", false), ("lstrip", false), ("rstrip", false)];
        for (key, on) in switches.into_iter().chain([("normalized", normalized), ("special", special)]) {
            added.insert(key.to_owned(), on.into());
        }
        Some((id, added))
    })
}

fn with_id((id, token): (usize, Map<String, Value>)) -> Map<String, Value> {
    std::iter::once(("id".to_owned(), id.into())).chain(token).collect()
}

/// The pairs that become a token, for all tokens from the highest score down. For one token, the pair with the longer
/// left part goes first, as in transformers' conversion of SentencePiece models.
fn merges_by_score<'a>(
    tokenizer: &'a Tokenizer,
    vocabulary: &IndexMap<&'a str, usize>,
) -> Vec<(&'a str, &'a str)> {
    let is_text =
        |text: &str| vocabulary.get(text).is_some_and(|&id| tokenizer.tokens[id].kind == TokenKind::Normal);
    let mut made: Vec<_> = tokenizer.tokens.iter().filter(|token| token.kind == TokenKind::Normal).collect();
    made.sort_by(|first, second| second.score.total_cmp(&first.score));
    let mut merges = Vec::new();
    for token in made {
        let mut cuts: Vec<usize> = token.text.char_indices().map(|(start, _)| start).skip(1).collect();
        cuts.sort_by_key(|&cut| Reverse(cut));
        let pairs = cuts.into_iter().map(|cut| token.text.split_at(cut));
        merges.extend(pairs.filter(|(left, right)| is_text(left) && is_text(right)));
    }
    merges
}

/// The post-processor that adds the two ends; `None` if neither is added.
fn template(tokenizer: &Tokenizer) -> Option<Value> {
    let end = |added: bool, special| if added { tokenizer.special(special) } else { None };
    let bos = end(tokenizer.adds_bos(), Special::BeginOfSequence);
    let eos = end(tokenizer.adds_eos(), Special::EndOfSequence);
    if bos.is_none() && eos.is_none() {
        return None;
    }
    let content = |id: u32| tokenizer.tokens[id as usize].text.as_str();
    let entry = |id: &u32, text: usize| json!({"SpecialToken": {"id": content(*id), "type_id": text}});
    let whole = |name: &str, text: usize, bos: Option<u32>, eos: Option<u32>| {
        let mut entries: Vec<Value> = bos.iter().map(|id| entry(id, text)).collect();
        entries.push(json!({"Sequence": {"id": name, "type_id": text}}));
        entries.extend(eos.iter().map(|id| entry(id, text)));
        entries
    };
    // a file that says that no separator is added has been read from a template with both ends round both texts
    let second = if tokenizer.add_sep.is_some() { (bos, eos) } else { (None, None) };
    let mut pair = whole("A", 0, bos, eos.and(second.1));
    pair.extend(whole("B", 1, second.0, eos));
    let described = |id: &u32| {
        (content(*id).to_owned(), json!({"id": content(*id), "ids": [id], "tokens": [content(*id)]}))
    };
    let specials: Map<String, Value> = bos.iter().chain(&eos).map(described).collect();
    Some(json!({
        "type": "TemplateProcessing",
        "single": whole("A", 0, bos, eos),
        "pair": pair,
        "special_tokens": specials,
    }))
}

fn tokenizer_config(tokenizer: &Tokenizer) -> Value {
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    for (key, switch) in [("add_bos_token", tokenizer.add_bos), ("add_eos_token", tokenizer.add_eos)] {
        if let Some(on) = switch {
            set(key, on.into());
        }
    }
    if let (TokenizerKind::BytePair { .. }, Some(add)) = (&tokenizer.kind, tokenizer.add_space_prefix) {
        set("add_prefix_space", add.into());
    }
    let added: Map<String, Value> =
        added_tokens(tokenizer).map(|(id, token)| (id.to_string(), token.into())).collect();
    set("added_tokens_decoder", added.into());
    for (key, text) in special_tokens(tokenizer) {
        set(&key, text);
    }
    if let Some(templates) = chat_templates(tokenizer) {
        set("chat_template", templates);
    }
    set("clean_up_tokenization_spaces", false.into());
    // without this, transformers hands token types to models that take none
    set("model_input_names", json!(["input_ids", "attention_mask"]));
    set("tokenizer_class", "PreTrainedTokenizerFast".into());
    config.into()
}

fn chat_templates(tokenizer: &Tokenizer) -> Option<Value> {
    let default = tokenizer.chat_template.as_deref();
    if tokenizer.named_chat_templates.is_empty() {
        return default.map(Value::from);
    }
    let named = tokenizer.named_chat_templates.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let all = default.map(|text| ("default", text)).into_iter().chain(named);
    Some(all.map(|(name, text)| json!({"name": name, "template": text})).collect())
}

/// `bos_token` and so on.
fn special_tokens(tokenizer: &Tokenizer) -> Map<String, Value> {
    let entry =
        |special: Special| Some((format!("{}_token", special.hf_name()?), text(tokenizer, special)?.into()));
    NAMED.into_iter().filter_map(entry).collect()
}

fn text(tokenizer: &Tokenizer, special: Special) -> Option<&str> {
    let id = tokenizer.special(special)?;
    Some(tokenizer.tokens.get(id as usize)?.text.as_str())
}
