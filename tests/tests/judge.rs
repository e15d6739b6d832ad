//! The judge itself: does it tell right from wrong, on files that we did not write?

use std::fs;
use std::path::PathBuf;

use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge::{self, Chunks, JudgeError, Prompt, Quantize, Specials};

#[test]
fn loads_both_models() {
    let smollm2 = judge::load(&fixture(SMOLLM2)).unwrap();
    assert_eq!(smollm2.architecture, "llama");
    assert_eq!((smollm2.layers, smollm2.embedding, smollm2.vocabulary), (30, 576, 49_152));
    assert_eq!(smollm2.parameters, 134_515_008);
    assert!(!smollm2.adds_bos);

    let gemma = judge::load(&fixture(GEMMA)).unwrap();
    assert_eq!(gemma.architecture, "gemma3");
    assert_eq!((gemma.layers, gemma.embedding, gemma.vocabulary), (18, 640, 262_144));
    assert!(gemma.adds_bos);
}

#[test]
fn refuses_a_file_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gguf");
    let whole = fs::read(fixture(SMOLLM2)).unwrap();
    fs::write(&cut, &whole[..whole.len() - 4096]).unwrap();
    let error = judge::load(&cut).unwrap_err();
    assert!(
        matches!(&error, JudgeError::Refused(words) if words.contains("not within the file bounds")),
        "{error}"
    );
}

#[test]
fn tokenizes_with_and_without_specials() {
    let texts = ["<|im_start|>user", "été 🐈"];
    let plain = judge::tokenize(&fixture(SMOLLM2), &texts, Specials::default()).unwrap();
    let parsed = judge::tokenize(&fixture(SMOLLM2), &texts, Specials { parse: true, add: false }).unwrap();
    assert_eq!(parsed[0], [1, 4093]);
    assert_ne!(plain[0], parsed[0]);
    assert_eq!(plain[1], parsed[1]);

    let gemma = judge::tokenize(&fixture(GEMMA), &["Hello"], Specials { add: true, parse: false }).unwrap();
    assert_eq!(gemma, [[2, 9259]]);
}

#[test]
fn next_token_is_a_distribution_and_knows_paris() {
    for model in [fixture(SMOLLM2), fixture(GEMMA)] {
        let prompts = [Prompt::from("The capital of France is"), Prompt::from("2 + 2 =")];
        let probabilities = judge::next_token(&model, &prompts).unwrap();
        assert_eq!(probabilities.iter().len(), 2);
        for row in probabilities.iter() {
            let sum: f64 = row.iter().map(|&value| f64::from(value)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
        let paris = judge::tokenize(&model, &[" Paris"], Specials::default()).unwrap()[0][0];
        let of_paris = probabilities.iter().next().unwrap()[paris as usize];
        assert!(of_paris > 0.05, "{of_paris}");
    }
}

#[test]
fn logits_are_those_that_the_greedy_text_follows() {
    let model = fixture(SMOLLM2);
    let prompt = "The capital of France is";
    let ids = judge::tokenize(&model, &[prompt], Specials::default()).unwrap().remove(0);
    let continuation = judge::greedy(&model, prompt, 4).unwrap();
    assert_eq!(continuation.text, " Paris.\n\n");

    let whole = [ids.as_slice(), &continuation.ids].concat();
    let logits = judge::logits(&model, &[Prompt::from(whole.as_slice())]).unwrap();
    let followed: Vec<u32> = logits.iter().skip(ids.len() - 1).take(4).map(likeliest).collect();
    assert_eq!(followed, continuation.ids);
}

#[test]
fn quantizes_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("q8_0.gguf");
    let to_q8_0 = Quantize { file_type: "Q8_0", allow_requantize: true, ..Quantize::default() };
    judge::quantize(&fixture(SMOLLM2), &target, to_q8_0).unwrap();
    let loaded = judge::load(&target).unwrap();
    assert_eq!(loaded.description, "llama 256M Q8_0");
    let f32_weights = 61 * 576; // norms stay as they are
    assert_eq!(loaded.tensor_bytes, (loaded.parameters - f32_weights) / 32 * 34 + f32_weights * 4);

    let not_again = Quantize { allow_requantize: false, ..to_q8_0 };
    let error = judge::quantize(&fixture(SMOLLM2), &target, not_again).unwrap_err();
    assert!(error.to_string().ends_with("requantizing from type q4_1 is disabled"), "{error}");

    let mixed =
        Quantize { tensor_types: &[("ffn_down", "q4_0")], token_embedding_type: Some("q5_0"), ..to_q8_0 };
    judge::quantize(&fixture(SMOLLM2), &target, mixed).unwrap();
    let ffn_down = 30 * 576 * 1536;
    let embedding = 49_152 * 576;
    let expected = loaded.tensor_bytes - ffn_down / 32 * (34 - 18) - embedding / 32 * (34 - 22);
    assert_eq!(judge::load(&target).unwrap().tensor_bytes, expected);
}

#[test]
fn divergence_is_nothing_from_itself_and_something_from_two_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (parent, base, child) =
        (fixture(SMOLLM2), folder.path().join("base"), folder.path().join("q2_k.gguf"));
    let of_parent =
        judge::perplexity(&parent, &judge_text(), Chunks { count: 4, length: 128 }, Some(&base)).unwrap();
    assert_eq!(of_parent.scored_tokens, 4 * 63);
    assert!((38.0..42.0).contains(&of_parent.perplexity), "{of_parent:?}");

    let itself = judge::divergence(&parent, &base).unwrap();
    assert_eq!(itself.perplexity, of_parent.perplexity);
    // the base file keeps each log-probability to 1 part in 65,536: two that close below the top become one
    assert!(itself.same_top > 0.99, "{itself:?}");
    assert!(itself.maximum < 1e-3, "{itself:?}");

    let to_two_bits = Quantize { file_type: "Q2_K", allow_requantize: true, ..Quantize::default() };
    judge::quantize(&parent, &child, to_two_bits).unwrap();
    let of_child = judge::divergence(&child, &base).unwrap();
    assert!(of_child.mean > 0.1 && of_child.median < of_child.mean, "{of_child:?}");
    assert!(
        of_child.mean < of_child.percentile_99 && of_child.percentile_99 < of_child.maximum,
        "{of_child:?}"
    );
    assert!(of_child.same_top < 0.9, "{of_child:?}");
    assert!(of_child.perplexity > of_parent.perplexity, "{of_child:?}");
}

#[test]
fn another_vocabulary_has_no_divergence() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    fs::write(
        &base,
        [b"_logits_".as_slice(), &512i32.to_le_bytes(), &7i32.to_le_bytes(), &0i32.to_le_bytes()].concat(),
    )
    .unwrap();
    let error = judge::divergence(&fixture(SMOLLM2), &base).unwrap_err();
    assert_eq!(error.to_string(), "the base has 7 tokens, the model 49152");
}

#[test]
fn an_unknown_token_is_refused() {
    let error = judge::logits(&fixture(SMOLLM2), &[Prompt::Ids(vec![49_152])]).unwrap_err();
    assert_eq!(error.to_string(), "token 49152 is not in a vocabulary of 49152");
}

fn judge_text() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt")
}

fn likeliest(row: &[f32]) -> u32 {
    (0..row.len()).max_by(|&left, &right| row[left].total_cmp(&row[right])).unwrap_or_default() as u32
}
