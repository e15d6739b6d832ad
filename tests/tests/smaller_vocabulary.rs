//! `compress --vocab` and `--add-tokens` on a real model: stock llama.cpp loads the result and finds the kept tokens as it found them before.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use secateur_model::Checkpoint;
use secateur_model::plan::Plan;
use secateur_tests::binary::{self, Ran};
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Prompt, Specials};

const LINES: [&str; 4] = [
    "The river was discovered in 1842 by a small group of people.",
    "What is the capital of France?",
    "It is one of the largest cities in the world, with 12,000 people.",
    "She went to the market and bought three apples.",
];

fn text() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt")
}

fn compress(options: &[&OsStr], out: &Path) -> Ran {
    let model = fixture(SMOLLM2);
    let fixed: [&OsStr; 6] = [
        "compress".as_ref(),
        model.as_ref(),
        "--type".as_ref(),
        "q4_1".as_ref(),
        "--out".as_ref(),
        out.as_ref(),
    ];
    binary::run(&[&fixed, options].concat())
}

#[test]
fn kept_tokens_have_the_logits_that_they_had() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    assert_eq!(compress(&[], &whole).code, 0);
    let text = text();
    let ran = compress(&["--vocab".as_ref(), "16k".as_ref(), "--text".as_ref(), text.as_ref()], &cut);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("16384 of 49152 tokens stay"), "{}", ran.stderr);
    // 16384 x 576 of 115,640,640 parameters; before 49152 x 576 of 134,515,008
    assert!(ran.stderr.contains("have 8.2 % of the parameters (source 21.0 %)"), "{}", ran.stderr);

    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(cut.join("plan.yaml")).unwrap()).unwrap();
    let vocabulary = plan.vocabulary.unwrap();
    let kept = vocabulary.kept.indices();
    assert_eq!((vocabulary.of, kept.len()), (49_152, 16_384));

    let (whole, cut) = (whole.join("model.gguf"), cut.join("model.gguf"));
    let specials = Specials { add: true, parse: true };
    let before = judge::tokenize(&whole, &LINES, specials).unwrap();
    let after = judge::tokenize(&cut, &LINES, specials).unwrap();
    for (before, after) in before.iter().zip(&after) {
        let old: Vec<u32> = after.iter().map(|&id| kept[id as usize]).collect();
        assert_eq!(&old, before, "the same tokens under new numbers");
    }
    let prompts = |lines: &[Vec<u32>]| lines.iter().map(|ids| ids.as_slice().into()).collect::<Vec<Prompt>>();
    let of_whole = judge::logits(&whole, &prompts(&before)).unwrap();
    let of_cut = judge::logits(&cut, &prompts(&after)).unwrap();
    assert_eq!(of_cut.columns, kept.len());
    for (whole, cut) in of_whole.iter().zip(of_cut.iter()) {
        for (&id, &logit) in kept.iter().zip(cut) {
            let expected = whole[id as usize];
            assert!((logit - expected).abs() <= 1e-4, "token {id}: {logit}, expected {expected}");
        }
    }
}

#[test]
fn a_folder_for_transformers_tells_of_the_same_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let model = fixture(SMOLLM2);
    let arguments: [&OsStr; 8] = [
        "compress".as_ref(),
        model.as_ref(),
        "--type".as_ref(),
        "f16".as_ref(),
        "--vocab".as_ref(),
        "16000".as_ref(),
        "--out".as_ref(),
        out.as_ref(),
    ];
    let ran = binary::run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let gguf = Checkpoint::open(&out.join("model.gguf")).unwrap();
    let hf = Checkpoint::open(&out.join("hf")).unwrap();
    assert_eq!((gguf.spec.vocabulary_size, hf.spec.vocabulary_size), (16_000, 16_000));
    let crate_reads = tokenizers::Tokenizer::from_file(out.join("hf/tokenizer.json")).unwrap();
    let of_llama = judge::tokenize(&out.join("model.gguf"), &LINES, Specials { add: false, parse: true });
    for (line, ids) in LINES.iter().zip(of_llama.unwrap()) {
        assert_eq!(crate_reads.encode_fast(*line, false).unwrap().get_ids(), ids, "{line}");
    }
}

#[test]
fn new_tokens_are_as_likely_as_what_they_are_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, larger) = (folder.path().join("whole"), folder.path().join("larger"));
    let list = folder.path().join("list.txt");
    fs::write(&list, " myocardial infarction\nSecateur\n").unwrap();
    let text = text();
    let model = fixture(SMOLLM2);
    let f16 = |source: &OsStr, options: &[&OsStr], out: &Path| {
        let fixed: [&OsStr; 6] =
            ["compress".as_ref(), source, "--type".as_ref(), "f16".as_ref(), "--out".as_ref(), out.as_ref()];
        let ran = binary::run(&[&fixed, options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    // from f16, so that new rows are not rounded to four bits
    f16(model.as_ref(), &[], &whole);
    let options: [&OsStr; 6] = [
        "--add-tokens".as_ref(),
        list.as_ref(),
        "--vocab".as_ref(),
        "16k".as_ref(),
        "--text".as_ref(),
        text.as_ref(),
    ];
    let (whole, folder) = (whole.join("model.gguf"), larger.clone());
    let ran = f16(whole.as_ref(), &options, &larger);
    assert!(ran.stderr.contains("16382 of 49152 tokens stay, 2 new ones"), "{}", ran.stderr);
    assert!(ran.stderr.contains("are tokenized as before, but for new ones"), "{}", ran.stderr);
    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(folder.join("plan.yaml")).unwrap()).unwrap();
    let vocabulary = plan.vocabulary.unwrap();
    assert_eq!(vocabulary.added, [" myocardial infarction", "Secateur"]);
    let kept = vocabulary.kept.indices();

    let larger = folder.join("model.gguf");
    let plain = Specials { add: false, parse: false };
    let found = judge::tokenize(&larger, &["A myocardial infarction of Secateur"], plain).unwrap();
    assert!(found[0].contains(&16_382) && found[0].contains(&16_383), "{found:?}");
    let crate_reads = tokenizers::Tokenizer::from_file(folder.join("hf/tokenizer.json")).unwrap();
    let of_crate = crate_reads.encode_fast("A myocardial infarction of Secateur", false).unwrap();
    assert_eq!(of_crate.get_ids(), found[0]);

    let prompts = |ids: &[Vec<u32>]| ids.iter().map(|ids| ids.as_slice().into()).collect::<Vec<Prompt>>();
    let pieces = judge::tokenize(&whole, &[" myocardial infarction", "Secateur"], plain).unwrap();
    let specials = Specials { add: true, parse: true };
    let before =
        judge::logits(&whole, &prompts(&judge::tokenize(&whole, &LINES, specials).unwrap())).unwrap();
    let after =
        judge::logits(&larger, &prompts(&judge::tokenize(&larger, &LINES, specials).unwrap())).unwrap();
    assert_eq!(after.columns, 16_384);
    for (before, after) in before.iter().zip(after.iter()) {
        for (&id, &logit) in kept.iter().zip(after) {
            assert!((logit - before[id as usize]).abs() <= 1e-4, "token {id}");
        }
        // embedding and output matrix are the same: the logit of a mean of rows is the mean of their logits
        for (pieces, &logit) in pieces.iter().zip(&after[16_382..]) {
            let mean = pieces.iter().map(|&id| before[id as usize]).sum::<f32>() / pieces.len() as f32;
            assert!((logit - mean).abs() <= 0.01, "{logit}, expected {mean}");
        }
    }
}

#[test]
fn config_json_follows_the_ids_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, out) = (folder.path().join("whole"), folder.path().join("out"));
    let model = fixture(SMOLLM2);
    let run = |model: &OsStr, options: &[&OsStr], out: &Path| {
        let fixed: [&OsStr; 6] =
            ["compress".as_ref(), model, "--type".as_ref(), "f16".as_ref(), "--out".as_ref(), out.as_ref()];
        let ran = binary::run(&[&fixed, options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    run(model.as_ref(), &[], &whole);
    // a token that moves stands for one that a config names
    let config = whole.join("hf/config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    json["pad_token_id"] = 49_000.into();
    json["sep_token_id"] = 260.into();
    fs::write(&config, json.to_string()).unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, "260\n").unwrap();
    run(whole.join("hf").as_ref(), &["--keep-tokens".as_ref(), list.as_ref()], &out);
    let plan: Plan = serde_saphyr::from_str(&fs::read_to_string(out.join("plan.yaml")).unwrap()).unwrap();
    let kept = plan.vocabulary.unwrap().kept;
    let new = kept.indices().binary_search(&260).unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("hf/config.json")).unwrap()).unwrap();
    assert_eq!(json["sep_token_id"], new);
    assert_eq!(json["pad_token_id"], serde_json::Value::Null, "it is gone");
    assert_eq!(json["vocab_size"], kept.indices().len());
}

#[test]
fn what_cannot_be_kept_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.into_os_string()
    };
    let twice = file("twice.txt", "Ġthe\nĠthe\n");
    let unknown = file("unknown.txt", "Ġthe\nnothing-like-this\n");
    let missing = folder.path().join("missing.txt").into_os_string();
    let known = file("known.txt", "Secateur\n the\n");
    let specials = file("specials.txt", "<|im_start|><|im_end|>");
    let text = text().into_os_string();
    let refusals: [(&[&OsStr], i32, &str); 11] = [
        (&["--vocab".as_ref(), "100".as_ref(), "--text".as_ref(), &text], 2, "tokens must stay"),
        (&["--vocab".as_ref(), "64k".as_ref()], 2, "cannot be cut from one of 49152"),
        (&["--vocab".as_ref(), "16k".as_ref(), "--text".as_ref(), &specials], 2, "special tokens"),
        (&["--vocab-coverage".as_ref(), "0%".as_ref()], 2, "expected a share"),
        (&["--keep-tokens".as_ref(), &twice], 2, "line 2: `Ġthe` is the token of line 1"),
        (&["--keep-tokens".as_ref(), &unknown], 2, "line 2: `nothing-like-this` is no token"),
        (&["--keep-tokens".as_ref(), &missing], 3, "cannot be read"),
        (&["--add-tokens".as_ref(), &known], 2, "line 2: ` the` is a token already"),
        (&["--add-tokens".as_ref(), &twice], 2, "line 2: `Ġthe` is the token of line 1"),
        (&["--add-tokens".as_ref(), &missing], 3, "cannot be read"),
        (&["--keep-scripts".as_ref(), "latin,klingon".as_ref()], 2, "`klingon` is no script"),
    ];
    for (options, code, words) in refusals {
        let out = folder.path().join("out");
        let ran = compress(options, &out);
        assert_eq!(ran.code, code, "{options:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "`{words}` is not in: {}", ran.stderr);
        assert!(!out.exists());
    }
}
