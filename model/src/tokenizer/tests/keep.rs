//! Smaller vocabularies: what they say of ids, and that texts of kept tokens are tokenized as before.

use std::collections::BTreeSet;

use super::*;

/// A xorshift generator, so that failures can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// The required tokens, about one in `one_in` of the others, and what these are made of, if `closed`.
fn some_tokens(tokenizer: &Tokenizer, random: &mut Random, one_in: usize, closed: bool) -> Vec<u32> {
    let replay = Replay::new(tokenizer).unwrap();
    let mut kept: BTreeSet<u32> = tokenizer.required().into_keys().collect();
    kept.extend((0..tokenizer.tokens.len() as u32).filter(|_| random.below(one_in) == 0));
    let mut open: Vec<u32> = kept.iter().copied().filter(|_| closed).collect();
    while let Some(id) = open.pop() {
        open.extend(replay.making(id).parts().filter(|&part| kept.insert(part)));
    }
    kept.into_iter().collect()
}

/// How many of the texts have kept tokens alone, and how many of those are tokenized otherwise by the smaller vocabulary.
fn differences<'a>(
    tokenizer: &Tokenizer,
    kept: &[u32],
    texts: impl IntoIterator<Item = &'a str>,
) -> (usize, usize) {
    let smaller = tokenizer.keep(kept).unwrap();
    let new_ids = NewIds::new(kept, tokenizer.tokens.len()).unwrap();
    let (parents, cuts) = (Encoder::new(tokenizer).unwrap(), Encoder::new(&smaller).unwrap());
    let (mut all_kept, mut different) = (0, 0);
    for text in texts {
        let before = parents.encode(text, ADD_AND_PARSE).unwrap();
        let after = cuts.encode(text, ADD_AND_PARSE).unwrap();
        if let Some(expected) = new_ids.all(&before) {
            all_kept += 1;
            different += usize::from(expected != after);
        }
        assert_eq!(
            tokenizer.decode(&before, true).unwrap(),
            smaller.decode(&after, true).unwrap(),
            "{text:?}"
        );
    }
    (all_kept, different)
}

/// All strings of up to `longest` of the letters.
fn all_strings(letters: &[char], longest: usize) -> Vec<String> {
    let mut strings = vec![String::new()];
    let mut start = 0;
    for _ in 0..longest {
        let end = strings.len();
        for place in start..end {
            let longer: Vec<String> =
                letters.iter().map(|letter| format!("{}{letter}", strings[place])).collect();
            strings.extend(longer);
        }
        start = end;
    }
    strings
}

fn plain(kind: TokenizerKind, tokens: Vec<Token>) -> Tokenizer {
    let mut tokenizer = without_files(byte_pair());
    tokenizer.specials.clear();
    tokenizer.specials.extend((kind == TokenizerKind::SentencePiece).then_some((Special::Unknown, 0)));
    Tokenizer { kind, tokens, add_bos: Some(false), add_space_prefix: Some(false), ..tokenizer }
}

fn token(text: impl Into<String>, score: f32, kind: TokenKind) -> Token {
    Token { text: text.into(), score, kind }
}

/// Merges of random tokens, some of them two ways to the same text.
fn random_byte_pairs(random: &mut Random) -> Tokenizer {
    let mut tokens: Vec<String> =
        (0..=u8::MAX).map(|byte| byte_alphabet::char_of_byte(byte).to_string()).collect();
    let mut parts: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut merges = Vec::new();
    while merges.len() < 14 {
        let pair = (parts[random.below(parts.len())].clone(), parts[random.below(parts.len())].clone());
        let whole = format!("{}{}", pair.0, pair.1);
        if whole.len() > 5 || merges.contains(&pair) {
            continue;
        }
        if !tokens.contains(&whole) {
            tokens.push(whole.clone());
            parts.push(whole);
        }
        merges.push(pair);
    }
    let tokens = tokens.into_iter().map(|text| token(text, 0.0, TokenKind::Normal)).collect();
    plain(TokenizerKind::BytePair { pre_tokenizer: "gpt-2".to_owned(), merges }, tokens)
}

/// Random texts with random scores, equal ones among them: most can be made in several ways, some in none.
fn random_sentence_pieces(random: &mut Random) -> Tokenizer {
    let mut tokens = vec![token("<unk>", 0.0, TokenKind::Unknown)];
    tokens.extend((0..=u8::MAX).map(|byte| token(format!("<0x{byte:02X}>"), 0.0, TokenKind::Byte)));
    let mut texts: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    while texts.len() < 17 {
        let text = (0..2 + random.below(4)).map(|_| ['a', 'b', 'c'][random.below(3)]).collect();
        texts.insert(text);
    }
    tokens.extend(texts.into_iter().map(|text| token(text, -(random.below(12) as f32), TokenKind::Normal)));
    plain(TokenizerKind::SentencePiece, tokens)
}

#[test]
fn of_all_short_texts_those_of_kept_tokens_have_the_same_tokens() {
    let texts = all_strings(&['a', 'b', 'c'], 7);
    let mut random = Random(17);
    for make in [random_byte_pairs, random_sentence_pieces] {
        let (mut all_kept, mut broken_by_holes) = (0, 0);
        for _ in 0..20 {
            let tokenizer = make(&mut random);
            let kept = some_tokens(&tokenizer, &mut random, 2, true);
            let (same, different) = differences(&tokenizer, &kept, texts.iter().map(String::as_str));
            assert_eq!(different, 0, "{:?} of {:?}", kept, tokenizer.tokens);
            all_kept += same;
            // without what the kept tokens are made of, it goes wrong: this test can fail
            let holes = some_tokens(&tokenizer, &mut random, 2, false);
            broken_by_holes += differences(&tokenizer, &holes, texts.iter().map(String::as_str)).1;
        }
        assert!(all_kept > 2000 && broken_by_holes > 100, "{all_kept} {broken_by_holes}");
    }
}

#[test]
fn texts_have_no_token_that_replaying_cannot_make_and_all_others_by_themselves() {
    let texts = all_strings(&['a', 'b', 'c'], 6);
    let mut random = Random(5);
    for make in [random_byte_pairs, random_sentence_pieces] {
        let mut dead = 0;
        for _ in 0..20 {
            let tokenizer = make(&mut random);
            let encoder = Encoder::new(&tokenizer).unwrap();
            let seen: BTreeSet<u32> = texts
                .iter()
                .flat_map(|text| encoder.encode(text, EncodeOptions::default()).unwrap())
                .collect();
            let replay = Replay::new(&tokenizer).unwrap();
            for (id, token) in (0..).zip(&tokenizer.tokens) {
                if token.text.bytes().all(|byte| (b'a'..=b'c').contains(&byte)) {
                    assert_eq!(seen.contains(&id), replay.making(id) != Making::Never, "{}", token.text);
                    dead += usize::from(!seen.contains(&id));
                }
            }
        }
        assert!(dead > 5, "{dead}");
    }
}

#[test]
fn real_texts_of_kept_tokens_have_the_same_tokens() {
    let mut random = Random(3);
    for (name, tokenizer) in [("byte_pair", byte_pair()), ("sentence_piece", sentence_piece())] {
        let texts = expected_texts(name);
        let words = texts.iter().flat_map(|(text, _)| text.split_inclusive(' ').chain([text.as_str()]));
        let words: Vec<&str> = words.collect();
        let mut all_kept = 0;
        for _ in 0..10 {
            let kept = some_tokens(&tokenizer, &mut random, 2, true);
            let (same, different) = differences(&tokenizer, &kept, words.iter().copied());
            assert_eq!(different, 0);
            all_kept += same;
        }
        assert!(all_kept > 100, "{all_kept}");
    }
}

#[test]
fn new_files_of_a_smaller_vocabulary_lead_back_to_it_and_serve_the_tokenizers_crate() {
    let mut random = Random(11);
    for (name, tokenizer) in [("byte_pair", byte_pair()), ("sentence_piece", sentence_piece())] {
        let kept = some_tokens(&tokenizer, &mut random, 2, true);
        let smaller = tokenizer.keep(&kept).unwrap();
        let files = smaller.hf_files().unwrap();
        let back = from_files(&files, smaller.tokens.len()).unwrap();
        let texts = |tokenizer: &Tokenizer| -> Vec<String> {
            tokenizer.tokens.iter().map(|token| token.text.clone()).collect()
        };
        assert_eq!(texts(&back), texts(&smaller));
        assert_eq!(back.kind, smaller.kind);
        assert_eq!(back.specials, smaller.specials);
        let crates = tokenizers::Tokenizer::from_bytes(&files[0].1).unwrap();
        let (ours, backs) = (Encoder::new(&smaller).unwrap(), Encoder::new(&back).unwrap());
        for (text, _) in expected_texts(name) {
            let ids = ours.encode(&text, ADD_AND_PARSE).unwrap();
            assert_eq!(crates.encode_fast(text.as_str(), true).unwrap().get_ids(), ids, "{text:?}");
            assert_eq!(backs.encode(&text, ADD_AND_PARSE).unwrap(), ids, "{text:?}");
        }
    }
}

#[test]
fn whatever_speaks_of_ids_speaks_of_the_new_ones() {
    let mut tokenizer = byte_pair();
    tokenizer.suppressed = vec![300, 301, 420];
    tokenizer.generation_config = Some(serde_json::json!({"eos_token_id": [421, 300], "temperature": 0.5}));
    tokenizer.other_metadata = vec![
        ("tokenizer.ggml.cls_token_id".to_owned(), 301_u32.into()),
        ("tokenizer.ggml.stop_token_ids".to_owned(), vec![421_u32, 300].into()),
        ("tokenizer.ggml.ages".to_owned(), (0..BYTE_PAIR as u32).collect::<Vec<_>>().into()),
        ("tokenizer.ggml.note".to_owned(), "kept".into()),
        ("tokenizer.huggingface.json".to_owned(), "{}".into()),
    ];
    let kept: Vec<u32> = (0..BYTE_PAIR as u32).filter(|&id| id != 300 && id != 299 && id != 424).collect();
    let smaller = tokenizer.keep(&kept).unwrap();
    assert_eq!(smaller.tokens.len(), BYTE_PAIR - 3);
    for (special, &id) in &tokenizer.specials {
        assert_eq!(smaller.specials[special], id - 2);
    }
    assert_eq!(smaller.suppressed, [299, 418]);
    assert_eq!(
        smaller.generation_config,
        Some(serde_json::json!({"eos_token_id": [419], "temperature": 0.5}))
    );
    let expected: [(&str, MetadataValue); 4] = [
        ("tokenizer.ggml.cls_token_id", 299_u32.into()),
        ("tokenizer.ggml.stop_token_ids", vec![419_u32].into()),
        ("tokenizer.ggml.ages", kept.clone().into()),
        ("tokenizer.ggml.note", "kept".into()),
    ];
    assert_eq!(smaller.other_metadata, expected.map(|(key, value)| (key.to_owned(), value)));
    // of the three rows of padding, the second and third are left
    assert_eq!(smaller.tokens[422].text, "[PAD422]");
    assert_eq!(smaller.chat_template, tokenizer.chat_template);
    let files = smaller.hf_files().unwrap();
    let (_, generation) = files.iter().find(|(name, _)| name == "generation_config.json").unwrap();
    assert!(String::from_utf8_lossy(generation).contains("419"));
}

#[test]
fn what_cannot_be_kept_so_is_told() {
    let tokenizer = byte_pair();
    let all = || 0..BYTE_PAIR as u32;
    let message = |kept: Vec<u32>| tokenizer.keep(&kept).unwrap_err().to_string();
    assert_eq!(
        message(all().filter(|&id| id != 420).collect()),
        "token 420 (`<|begin|>`) cannot be left out: it is the token for BeginOfSequence"
    );
    assert_eq!(message(all().skip(1).collect()), "token 0 (`!`) cannot be left out: it spells a byte");
    assert_eq!(
        message(all().chain([3]).collect()),
        "token 3 is to be kept after token 426; ids of kept tokens ascend, each once"
    );
    assert_eq!(
        message(vec![5, 5]),
        "token 5 is to be kept after token 5; ids of kept tokens ascend, each once"
    );
    assert_eq!(message(all().chain([427]).collect()), "the id 427 is not in the vocabulary of 427 tokens");
    let tokenizer = sentence_piece();
    let error =
        tokenizer.keep(&(0..SENTENCE_PIECE as u32).filter(|&id| id != 14).collect::<Vec<_>>()).unwrap_err();
    assert!(matches!(error, TokenizerError::RequiredNotKept { id: 14, need: Need::Byte, .. }), "{error}");
}

#[test]
fn required_are_what_is_named_and_not_spare() {
    let mut tokenizer = byte_pair();
    let id = |text: &str, tokenizer: &mut Tokenizer, kind| {
        tokenizer.tokens.push(token(text, 0.0, kind));
        tokenizer.tokens.len() as u32 - 1
    };
    let spare = id("<unused7>", &mut tokenizer, TokenKind::Control);
    let named = id("<unused8>", &mut tokenizer, TokenKind::Control);
    let control = id("<|call|>", &mut tokenizer, TokenKind::Control);
    let written = id("<think>", &mut tokenizer, TokenKind::UserDefined);
    let other = id("<table>", &mut tokenizer, TokenKind::UserDefined);
    tokenizer.named_chat_templates.push(("b".to_owned(), "<unused8>{{ x }}<think>".to_owned()));
    let required = tokenizer.required();
    assert_eq!(required.get(&spare), None);
    assert!(tokenizer.tokens[spare as usize].is_spare() && tokenizer.tokens[426].is_spare());
    assert_eq!(required.get(&named), Some(&Need::ChatTemplate));
    assert_eq!(required.get(&control), Some(&Need::Control));
    assert_eq!(required.get(&written), Some(&Need::ChatTemplate));
    assert_eq!(required.get(&other), None);
    assert_eq!(required.values().filter(|&need| *need == Need::Byte).count(), 256);
    // without bytes to fall back on, characters must stay
    let mut tokenizer = sentence_piece();
    tokenizer.tokens.remove(100);
    assert!(tokenizer.required().values().any(|need| *need == Need::Character));
}

#[test]
fn added_tokens_come_last_and_are_found_whole() {
    let mut tokenizer = byte_pair();
    let note: (String, MetadataValue) = ("tokenizer.ggml.note".to_owned(), "kept".into());
    tokenizer.other_metadata = vec![
        ("tokenizer.ggml.ages".to_owned(), (0..BYTE_PAIR as u32).collect::<Vec<_>>().into()),
        note.clone(),
        ("tokenizer.huggingface.json".to_owned(), "{}".into()),
    ];
    let larger = tokenizer.with_user_defined(&[" two words", "x"]);
    assert!(matches!(larger.unwrap_err(), TokenizerError::DuplicateToken { second: 428, .. }));
    let larger = tokenizer.with_user_defined(&[" two words"]).unwrap();
    let encoder = Encoder::new(&larger).unwrap();
    let ids = encoder.encode("a two words", EncodeOptions::default()).unwrap();
    assert_eq!(ids[1..], [427]);
    assert_eq!(larger.decode(&ids, true).unwrap(), "a two words");
    // what would have to say something of the new token is gone
    assert_eq!(larger.other_metadata, [note]);
}
