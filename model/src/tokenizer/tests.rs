//! Small tokenizers, judged by the programs that trained them; see `tests/data/tokenizers/make.py`.

mod keep;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::gguf::Metadata;

const ADD_AND_PARSE: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };
const BYTE_PAIR: usize = 427;
const SENTENCE_PIECE: usize = 563;

fn small(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers").join(name)
}

fn byte_pair() -> Tokenizer {
    Tokenizer::from_hf_folder(&small("byte_pair"), BYTE_PAIR).unwrap()
}

fn sentence_piece() -> Tokenizer {
    Tokenizer::from_hf_folder(&small("sentence_piece"), SENTENCE_PIECE).unwrap()
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(small(name).join("expected.json")).unwrap()).unwrap()
}

/// Texts with the ids that the program which trained the tokenizer gives.
fn expected_texts(name: &str) -> Vec<(String, Vec<u32>)> {
    serde_json::from_value(expected(name)["texts"].clone()).unwrap()
}

fn metadata(tokenizer: &Tokenizer) -> Metadata {
    let mut metadata = Metadata::new();
    for (key, value) in tokenizer.to_gguf_metadata() {
        metadata.set(key, value);
    }
    metadata
}

/// What is read from a folder with these files, and a config of the Llama family.
fn from_files(files: &[(String, Vec<u8>)], vocabulary_size: usize) -> Result<Tokenizer, TokenizerError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    Tokenizer::from_hf_folder(folder.path(), vocabulary_size)
}

fn assert_ids(tokenizer: &Tokenizer, name: &str) {
    let encoder = Encoder::new(tokenizer).unwrap();
    for (text, ids) in expected_texts(name) {
        assert_eq!(encoder.encode(&text, ADD_AND_PARSE).unwrap(), ids, "{text:?}");
    }
}

/// The value without the files, which is to be the same after any journey.
fn without_files(tokenizer: Tokenizer) -> Tokenizer {
    Tokenizer { hf_files: None, ..tokenizer }
}

#[test]
fn ids_are_those_of_the_program_that_trained_the_tokenizer() {
    assert_ids(&byte_pair(), "byte_pair");
    assert_ids(&sentence_piece(), "sentence_piece");
}

#[test]
fn special_tokens_are_those_that_the_gguf_package_reads() {
    let tokenizer = byte_pair();
    let special = &expected("byte_pair")["special"];
    assert_eq!(
        tokenizer.special(Special::BeginOfSequence).map(Value::from).unwrap(),
        special["add_bos_token_id"]
    );
    assert_eq!(
        tokenizer.special(Special::EndOfSequence).map(Value::from).unwrap(),
        special["add_eos_token_id"]
    );
    assert_eq!(tokenizer.special(Special::Padding).map(Value::from).unwrap(), special["add_pad_token_id"]);
    assert_eq!(tokenizer.specials.len(), 3);
    assert_eq!(tokenizer.add_bos.map(Value::from).unwrap(), special["add_add_bos_token"]);
    assert_eq!(tokenizer.add_sep.map(Value::from).unwrap(), special["add_add_sep_token"]);
    assert_eq!(tokenizer.add_eos, None);
    assert_eq!(tokenizer.chat_template.as_deref(), Some("{{ a }}"));
    assert_eq!(tokenizer.named_chat_templates, [("tool_use".to_owned(), "{{ b }}".to_owned())]);

    let tokenizer = sentence_piece();
    let special = &expected("sentence_piece")["special"];
    assert_eq!(
        tokenizer.special(Special::BeginOfSequence).map(Value::from).unwrap(),
        special["add_bos_token_id"]
    );
    assert_eq!(
        tokenizer.special(Special::EndOfSequence).map(Value::from).unwrap(),
        special["add_eos_token_id"]
    );
    assert_eq!(tokenizer.add_bos.map(Value::from).unwrap(), special["add_add_bos_token"]);
    assert_eq!(tokenizer.add_eos.map(Value::from).unwrap(), special["add_add_eos_token"]);
    assert_eq!(tokenizer.special(Special::Unknown), Some(0));
    assert_eq!(tokenizer.add_space_prefix, None);
}

#[test]
fn tokens_have_kinds_and_rows_without_a_token_are_padded() {
    let tokenizer = byte_pair();
    let kind = |text: &str| tokenizer.tokens.iter().find(|token| token.text == text).unwrap().kind;
    assert_eq!(kind("<|begin|>"), TokenKind::Control);
    // added as plain text, but it looks like control
    assert_eq!(kind("<|tool|>"), TokenKind::Control);
    assert_eq!(kind("<tool>"), TokenKind::UserDefined);
    assert_eq!(kind("Ġ"), TokenKind::Normal);
    assert_eq!(kind("[PAD426]"), TokenKind::Unused);

    let tokenizer = sentence_piece();
    let kinds: Vec<_> = [0, 1, 3, 4, 259, 562].iter().map(|&id: &usize| tokenizer.tokens[id].kind).collect();
    let expected = [
        TokenKind::Unknown,
        TokenKind::Control,
        TokenKind::UserDefined,
        TokenKind::Byte,
        TokenKind::Byte,
        TokenKind::Unused,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(tokenizer.tokens[260].kind, TokenKind::Normal);
    assert_eq!(tokenizer.tokens[562].score, -10000.0);
}

#[test]
fn gguf_metadata_lead_back_to_the_value() {
    for tokenizer in [byte_pair(), sentence_piece()] {
        let back = Tokenizer::from_gguf(&metadata(&tokenizer)).unwrap();
        assert_eq!(back, without_files(tokenizer));
    }
}

#[test]
fn keys_that_are_not_read_are_kept() {
    let mut metadata = metadata(&byte_pair());
    metadata.set("tokenizer.ggml.normalizer.lowercase", true);
    metadata.set("tokenizer.ggml.fim_pre_token_id", 5_u32);
    metadata.set("tokenizer.ggml.suppress_tokens", vec![7_i32, 9]);
    metadata.set("general.name", "no tokenizer");
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
    assert_eq!(tokenizer.other_metadata, [("tokenizer.ggml.normalizer.lowercase".to_owned(), true.into())]);
    assert_eq!(tokenizer.special(Special::FillPrefix), Some(5));
    metadata.remove("general.name");
    let sorted = |mut entries: Vec<(String, MetadataValue)>| {
        entries.sort_by(|first, second| first.0.cmp(&second.0));
        entries
    };
    let there = metadata.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    assert_eq!(sorted(tokenizer.to_gguf_metadata()), sorted(there));
}

#[test]
fn new_files_lead_back_to_the_value() {
    for tokenizer in [byte_pair(), sentence_piece()] {
        let tokenizer = Tokenizer::from_gguf(&metadata(&tokenizer)).unwrap();
        let mut back = from_files(&tokenizer.hf_files().unwrap(), tokenizer.tokens.len()).unwrap();
        back.hf_files = None;
        if back.kind == TokenizerKind::SentencePiece {
            // in configs the unknown is control like others, and control has the score of added tokens
            for token in &mut back.tokens[..3] {
                assert_eq!((token.kind, token.score), (TokenKind::Control, -1000.0));
                token.score = 0.0;
            }
            back.tokens[0].kind = TokenKind::Unknown;
        }
        assert_eq!(back, tokenizer);
    }
}

#[test]
fn a_new_tokenizer_json_gives_the_same_ids_in_the_tokenizers_crate() {
    for (tokenizer, name) in [(byte_pair(), "byte_pair"), (sentence_piece(), "sentence_piece")] {
        let files = without_files(tokenizer.clone()).hf_files().unwrap();
        let crates = tokenizers::Tokenizer::from_bytes(&files[0].1).unwrap();
        for (text, ids) in expected_texts(name) {
            assert_eq!(crates.encode_fast(text.as_str(), true).unwrap().get_ids(), ids, "{text:?}");
            let decoded = crates.decode(&ids, true).unwrap();
            assert_eq!(tokenizer.decode(&ids[1..], false).unwrap(), decoded, "{text:?}");
        }
    }
}

#[test]
fn scores_come_from_merges_where_there_is_no_model_file() {
    let mut files = without_files(sentence_piece()).hf_files().unwrap();
    assert_eq!(files.pop().unwrap().0, "tokenizer.model");
    let tokenizer = from_files(&files, SENTENCE_PIECE).unwrap();
    assert_eq!(tokenizer.kind, TokenizerKind::SentencePiece);
    assert_ids(&tokenizer, "sentence_piece");
    let trained = sentence_piece();
    let order = |tokenizer: &Tokenizer| {
        let mut ids: Vec<usize> =
            (260..SENTENCE_PIECE).filter(|&id| tokenizer.tokens[id].text.chars().count() > 1).collect();
        ids.sort_by(|&first, &second| {
            tokenizer.tokens[second].score.total_cmp(&tokenizer.tokens[first].score)
        });
        ids
    };
    assert_eq!(order(&tokenizer), order(&trained));
    assert_eq!(tokenizer.tokens[260].score, 0.0);
}

#[test]
fn what_came_from_files_is_written_unchanged() {
    let files = byte_pair().hf_files().unwrap();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tokenizer.json", "tokenizer_config.json"]);
    for (name, bytes) in files {
        assert_eq!(bytes, std::fs::read(small("byte_pair").join(name)).unwrap());
    }
}

#[test]
fn special_tokens_are_parsed_on_demand_and_added_on_demand() {
    let tokenizer = byte_pair();
    let encoder = Encoder::new(&tokenizer).unwrap();
    let ids = |text, add_special, parse_special| {
        encoder.encode(text, EncodeOptions { add_special, parse_special }).unwrap()
    };
    assert_eq!(ids("<|end|>", false, true), [421]);
    assert_eq!(ids("<|end|>", true, true), [420, 421]);
    assert!(ids("<|end|>", false, false).len() > 3);
    assert_eq!(ids("<tool>", false, false), [422]);
    assert_eq!(tokenizer.decode(&[420, 39, 422], false).unwrap(), "H<tool>");
    assert_eq!(tokenizer.decode(&[420, 39, 422], true).unwrap(), "<|begin|>H<tool>");
    assert_eq!(
        tokenizer.decode(&[600], true).unwrap_err().to_string(),
        "the id 600 is not in the vocabulary of 427 tokens"
    );
}

#[test]
fn a_space_comes_before_a_text_and_after_each_special_token() {
    let tokenizer = sentence_piece();
    let encoder = Encoder::new(&tokenizer).unwrap();
    let pieces = |text: &str| -> Vec<String> {
        let ids = encoder.encode(text, EncodeOptions { add_special: false, parse_special: true }).unwrap();
        ids.iter().map(|&id| String::from_utf8(tokenizer.bytes_of(id)).unwrap()).collect()
    };
    assert_eq!(pieces("f<tool>f</s>f"), [" ", "f", "<tool>", " ", "f", "</s>", " ", "f"]);
    let mut without = tokenizer.clone();
    without.add_space_prefix = Some(false);
    let encoder = Encoder::new(&without).unwrap();
    let id = encoder.encode("f", EncodeOptions::default()).unwrap();
    assert_eq!(without.bytes_of(id[0]), b"f");
}

#[test]
fn a_byte_without_a_token_keeps_its_neighbours_apart() {
    let mut tokenizer = byte_pair();
    let merged = Encoder::new(&tokenizer).unwrap().encode("!!", EncodeOptions::default()).unwrap();
    assert_eq!(merged.len(), 1, "`!!` is a token, or this tests nothing");
    let control = tokenizer.tokens.iter().position(|token| token.text == "ā").unwrap();
    tokenizer.tokens[control].text = "gone".to_owned();
    let ids = Encoder::new(&tokenizer).unwrap().encode("!\u{1}!", EncodeOptions::default()).unwrap();
    assert_eq!(ids, [0, 0]);
}

#[test]
fn the_vocabulary_of_the_model_must_have_room() {
    let error = Tokenizer::from_hf_folder(&small("byte_pair"), 423).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tokenizer disagrees with the vocabulary: it has 424 tokens, the model has 423"
    );
    let error = Tokenizer::from_hf_folder(&small("byte_pair"), usize::MAX).unwrap_err();
    assert!(matches!(error, TokenizerError::Vocabulary { .. }), "{error}");
    let error = byte_pair().check(428).unwrap_err();
    assert!(matches!(error, TokenizerError::Vocabulary { tokenizer: 427, model: 428 }), "{error}");
}

#[test]
fn parts_that_disagree_are_refused() {
    let mut tokenizer = byte_pair();
    tokenizer.tokens[5].text = tokenizer.tokens[3].text.clone();
    let error = tokenizer.check(BYTE_PAIR).unwrap_err();
    assert!(matches!(error, TokenizerError::DuplicateToken { first: 3, second: 5, .. }), "{error}");

    let mut tokenizer = byte_pair();
    let TokenizerKind::BytePair { merges, .. } = &mut tokenizer.kind else { unreachable!() };
    merges.insert(0, ("a".to_owned(), "<tool>".to_owned()));
    let error = tokenizer.check(BYTE_PAIR).unwrap_err();
    assert!(
        matches!(&error, TokenizerError::MergeWithoutToken { rank: 0, missing, .. } if missing == "a<tool>"),
        "{error}"
    );

    let mut tokenizer = byte_pair();
    tokenizer.specials.insert(Special::Mask, 427);
    let error = tokenizer.check(BYTE_PAIR).unwrap_err();
    assert!(
        matches!(error, TokenizerError::SpecialOutOfRange { special: Special::Mask, id: 427, .. }),
        "{error}"
    );

    let mut tokenizer = byte_pair();
    tokenizer.suppressed.push(427);
    let error = tokenizer.check(BYTE_PAIR).unwrap_err();
    assert!(matches!(error, TokenizerError::SuppressedOutOfRange { id: 427, .. }), "{error}");

    let mut tokenizer = byte_pair();
    tokenizer.specials.clear();
    let error = tokenizer.check(BYTE_PAIR).unwrap_err();
    assert!(matches!(error, TokenizerError::MissingSpecial { special: Special::BeginOfSequence }), "{error}");

    let mut tokenizer = sentence_piece();
    tokenizer.tokens[4].text = "<0x0>".to_owned();
    let error = tokenizer.check(SENTENCE_PIECE).unwrap_err();
    assert!(matches!(error, TokenizerError::BrokenByteToken { id: 4, .. }), "{error}");
}

#[test]
fn metadata_that_disagree_are_refused() {
    let refused = |key: &str, value: MetadataValue| {
        let mut metadata = metadata(&byte_pair());
        metadata.set(key, value);
        Tokenizer::from_gguf(&metadata).unwrap_err()
    };
    let error = refused("tokenizer.ggml.model", "t5".into());
    assert!(matches!(error, TokenizerError::UnknownGgufModel { .. }), "{error}");
    let error = refused("tokenizer.ggml.pre", "kimi-k2".into());
    assert!(matches!(error, TokenizerError::UnknownPreTokenizerName { .. }), "{error}");
    let error = refused("tokenizer.ggml.token_type", vec![1_i32].into());
    assert!(matches!(error, TokenizerError::Length { expected: 427, found: 1, .. }), "{error}");
    let error = refused("tokenizer.ggml.scores", vec![1_f32].into());
    assert!(matches!(error, TokenizerError::Length { expected: 427, found: 1, .. }), "{error}");
    let error = refused("tokenizer.ggml.token_type", vec![9_i32; 427].into());
    assert!(matches!(error, TokenizerError::UnknownTokenKind { id: 0, found: 9 }), "{error}");
    let error = refused("tokenizer.ggml.merges", vec!["ab".to_owned()].into());
    assert!(matches!(error, TokenizerError::BrokenMerge { rank: 0, .. }), "{error}");
    let error = refused("tokenizer.ggml.tokens", Vec::<String>::new().into());
    assert!(matches!(error, TokenizerError::Length { expected: 0, .. }), "{error}");
    let error = refused("tokenizer.ggml.bos_token_id", "1".into());
    assert!(matches!(error, TokenizerError::Gguf(_)), "{error}");
    let error = Tokenizer::from_gguf(&Metadata::new()).unwrap_err();
    assert!(matches!(error, TokenizerError::Gguf(_)), "{error}");
}

#[test]
fn files_of_other_kinds_are_refused() {
    let refused = |name: &str, content: &str| {
        from_files(&[(name.to_owned(), content.as_bytes().to_vec())], 10).unwrap_err()
    };
    let error = refused("tokenizer.json", r#"{"model": {"type": "Unigram", "vocab": [["a", -1.5]]}}"#);
    assert!(
        matches!(&error, TokenizerError::UnknownJsonModel { found, .. } if found == "Unigram"),
        "{error}"
    );
    let error = refused("tokenizer.json", "{");
    assert!(matches!(error, TokenizerError::Json { file: "tokenizer.json", .. }), "{error}");
    let error = refused("merges.txt", "");
    assert!(matches!(error, TokenizerError::NoTokenizer { .. }), "{error}");
    let same_id = r#"{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}"#;
    let error = refused("tokenizer.json", same_id);
    assert!(matches!(error, TokenizerError::DuplicateId { id: 0, .. }), "{error}");
    let error = refused("tokenizer.model", "version https://git-lfs.github.com/spec/v1\n");
    assert!(matches!(error, TokenizerError::BrokenProtobuf { .. }), "{error}");
    // a trainer that says it is a unigram model
    let error = refused("tokenizer.model", "\x12\x02\x18\x01");
    assert!(matches!(error, TokenizerError::NotBytePairs { found: 1 }), "{error}");
}

#[test]
fn a_damaged_model_file_is_read_or_refused_but_never_panics() {
    let whole = std::fs::read(small("sentence_piece").join("tokenizer.model")).unwrap();
    let read = |bytes: &[u8]| from_files(&[("tokenizer.model".to_owned(), bytes.to_vec())], SENTENCE_PIECE);
    assert!(read(&whole).is_ok());
    let mut refused = 0;
    for place in (0..whole.len()).step_by(61) {
        refused += usize::from(read(&whole[..place]).is_err());
        let mut damaged = whole.clone();
        damaged[place] ^= 0xFF;
        refused += usize::from(read(&damaged).is_err());
    }
    assert!(refused > 100, "{refused}");
}
