//! Our tokenization against stock llama.cpp's, on real vocabularies.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::Path;

use secateur_model::Checkpoint;
use secateur_model::tokenizer::{EncodeOptions, Encoder};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Specials};

fn lines() -> Vec<String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/lines.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_thousand_varied_lines_have_the_ids_of_llama_cpp() {
    let lines = lines();
    assert!(lines.len() >= 1000);
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    for name in [SMOLLM2, GEMMA] {
        let path = fixture(name);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let encoder = Encoder::new(&checkpoint.tokenizer.unwrap()).unwrap();
        for (add_special, parse_special) in [(false, false), (true, true)] {
            let specials = Specials { add: add_special, parse: parse_special };
            let expected = judge::tokenize(&path, &texts, specials).unwrap();
            for (text, expected) in texts.iter().zip(&expected) {
                let got = encoder.encode(text, EncodeOptions { add_special, parse_special }).unwrap();
                assert_eq!(&got, expected, "{name}: {text:?}");
            }
        }
    }
}
