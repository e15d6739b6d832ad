//! Cut vocabularies of real models, judged by stock llama.cpp and the `tokenizers` crate.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::Path;

use secateur_compress::progress::Silent;
use secateur_compress::statistics::{BUILT_IN_TEXT, Text, calibration_tokens};
use secateur_compress::vocabulary::{
    Additions, NamedText, Target, VocabularyCut, cut, expected_use, read_additions,
};
use secateur_model::gguf::{Gguf, GgufLayout};
use secateur_model::tokenizer::{EncodeOptions, Encoder, Tokenizer};
use secateur_model::{Checkpoint, demo};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Prompt, Specials};

const PARSE: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };

fn data(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)).unwrap()
}

/// Varied lines, and the lines of a text like the one that was counted.
fn lines() -> Vec<String> {
    let varied =
        data("lines.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>();
    let judged = data("judge.txt").split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let counted = BUILT_IN_TEXT.split_inclusive('\n').map(str::to_owned).collect();
    [varied, judged, counted].concat()
}

fn parent(name: &str) -> Tokenizer {
    Tokenizer::from_gguf(&Gguf::open(&fixture(name)).unwrap().metadata).unwrap()
}

fn cut_to(parent: &Tokenizer, size: usize, additions: &Additions) -> VocabularyCut {
    let text = NamedText { name: "calibration", text: BUILT_IN_TEXT };
    cut(parent, &[text], &Target::Size(size), &[], additions, &Silent).unwrap()
}

/// A file of metadata alone, which llama.cpp opens for its vocabulary.
fn write_vocabulary(name: &str, tokenizer: &Tokenizer, target: &Path) {
    let mut metadata = Gguf::open(&fixture(name)).unwrap().metadata;
    let old: Vec<String> =
        metadata.iter().map(|(key, _)| key.to_owned()).filter(|key| key.starts_with("tokenizer.")).collect();
    for key in old {
        metadata.remove(&key);
    }
    for (key, value) in tokenizer.to_gguf_metadata() {
        metadata.set(key, value);
    }
    let file = std::fs::File::create(target).unwrap();
    GgufLayout::new(&metadata, &[]).unwrap().start(file).unwrap().finish().unwrap();
}

/// Of each line: its ids are those of llama.cpp and of the `tokenizers` crate, and those of the parent if all were kept.
fn assert_judged(name: &str, parent: &Tokenizer, cut: &VocabularyCut) -> usize {
    let lines = lines();
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vocabulary.gguf");
    write_vocabulary(name, &cut.tokenizer, &file);
    let of_llama = judge::tokenize(&file, &texts, Specials { add: false, parse: true }).unwrap();
    let files = cut.tokenizer.hf_files().unwrap();
    let of_crate = tokenizers::Tokenizer::from_bytes(&files[0].1).unwrap();

    let (parents, cuts) = (Encoder::new(parent).unwrap(), Encoder::new(&cut.tokenizer).unwrap());
    let mut same_as_parent = 0;
    for (text, of_llama) in texts.iter().zip(&of_llama) {
        let ids = cuts.encode(text, PARSE).unwrap();
        assert_eq!(&ids, of_llama, "llama.cpp, {name}: {text:?}");
        assert_eq!(
            ids,
            of_crate.encode_fast(*text, false).unwrap().get_ids(),
            "tokenizers, {name}: {text:?}"
        );
        let before = parents.encode(text, PARSE).unwrap();
        let old: Option<Vec<u32>> = ids.iter().map(|&id| cut.kept.get(id as usize).copied()).collect();
        let all_kept = before.iter().all(|id| cut.kept.binary_search(id).is_ok());
        if all_kept && cut.added.is_empty() {
            assert_eq!(old.as_ref(), Some(&before), "{name}: {text:?}");
            same_as_parent += 1;
        }
    }
    same_as_parent
}

#[test]
fn a_smollm2_of_16384_tokens_is_judged() {
    let parent = parent(SMOLLM2);
    let cut = cut_to(&parent, 16_384, &Additions::default());
    assert_eq!(cut.tokenizer.tokens.len(), 16_384);
    assert!(assert_judged(SMOLLM2, &parent, &cut) > 1000);
}

#[test]
fn gemmas_of_65536_and_32768_tokens_are_judged() {
    let parent = parent(GEMMA);
    for size in [65_536, 32_768] {
        let cut = cut_to(&parent, size, &Additions::default());
        let report = &cut.report;
        assert_eq!(report.gate.lines, report.gate.lines_of_kept_tokens); // more than the text has
        assert_eq!(report.gate.tokens, size);
        assert_eq!(cut.tokenizer.tokens.len(), size);
        assert!(assert_judged(GEMMA, &parent, &cut) > 1000);
    }
}

/// Tokens of a text that others would stand for.
fn missing(parent: &Tokenizer, cut: &VocabularyCut, text: &str) -> usize {
    let ids = Encoder::new(parent).unwrap().encode(text, PARSE).unwrap();
    ids.iter().filter(|id| cut.kept.binary_search(id).is_err()).count()
}

#[test]
fn a_model_knows_what_other_texts_have() {
    let model = Checkpoint::open(&fixture(SMOLLM2)).unwrap();
    let parent = model.tokenizer.as_ref().unwrap();
    let content = data("judge.txt");
    let middle = content.len() / 2 + content[content.len() / 2..].find('\n').unwrap();
    let (seen, unseen) = content.split_at(middle);
    let texts = [Text { name: "the first half".to_owned(), content: seen.to_owned() }];
    let sequences = calibration_tokens(parent, &model.spec, &texts, None).unwrap();
    let sequences: Vec<&[u32]> = sequences.iter().map(|sequence| sequence.tokens.as_slice()).collect();
    let expected = expected_use(&model, &sequences, &Silent).unwrap();
    let text = NamedText { name: "the first half", text: seen };
    let cut_by = |expected: &[f32]| {
        cut(parent, &[text], &Target::Size(24_576), expected, &Additions::default(), &Silent).unwrap()
    };
    let (counted, asked) =
        (missing(parent, &cut_by(&[]), unseen), missing(parent, &cut_by(&expected), unseen));
    assert!(3 * asked < 2 * counted, "{asked} of {counted} tokens are still missing");
}

#[test]
fn a_model_expects_what_it_does_in_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.gguf");
    std::fs::write(&file, demo::GGUF).unwrap();
    let model = Checkpoint::open(&file).unwrap();
    let one: Vec<u32> = (400..464).collect();
    let ours = expected_use(&model, &[&one], &Silent).unwrap();
    let prompt = Prompt::Ids(one);
    let mut theirs = vec![0.0; ours.len()];
    for logits in judge::logits(&file, &[prompt]).unwrap().iter().step_by(2) {
        let all: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        theirs.iter_mut().zip(logits).for_each(|(sum, &logit)| *sum += f64::from(logit).exp() / all / 32.0);
    }
    let off: f64 = ours.iter().zip(&theirs).map(|(&ours, theirs)| (f64::from(ours) - theirs).abs()).sum();
    assert!(off < 1e-3, "{off} of all expectations are elsewhere");
}

#[test]
fn added_tokens_are_found_whole_by_all() {
    for name in [SMOLLM2, GEMMA] {
        let parent = parent(name);
        let additions = read_additions(" myocardial infarction\nSecateur\n").unwrap();
        let cut = cut_to(&parent, 16_000, &additions);
        assert_eq!(cut.tokenizer.tokens.len(), 16_000);
        assert_judged(name, &parent, &cut);
        let encoder = Encoder::new(&cut.tokenizer).unwrap();
        let ids = encoder.encode("a myocardial infarctionSecateur", PARSE).unwrap();
        assert_eq!(ids[1..], [15_998, 15_999]);
        assert_eq!(cut.tokenizer.decode(&ids, true).unwrap(), "a myocardial infarctionSecateur");
        for (token, text) in cut.added.iter().zip([" myocardial infarction", "Secateur"]) {
            assert_eq!(parent.decode(&token.pieces, true).unwrap(), text);
        }
    }
}
