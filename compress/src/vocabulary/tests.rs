//! Small vocabularies cut in every way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use secateur_model::stored::FileBytes;
use secateur_model::tokenizer::{Encoder, Making, TokenKind, Tokenizer, TokenizerKind};
use secateur_model::{Checkpoint, demo};

use super::counts::ENCODE;
use super::gate::{Ready, makings};
use super::*;
use crate::progress::Silent;
use crate::statistics::BUILT_IN_TEXT;

static DEMO: LazyLock<Tokenizer> = LazyLock::new(|| {
    let demo = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
    demo.tokenizer.unwrap()
});

const TEXT: NamedText<'static> = NamedText { name: "built in", text: BUILT_IN_TEXT };

fn small(name: &str, size: usize) -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/data/tokenizers").join(name);
    Tokenizer::from_hf_folder(&folder, size).unwrap()
}

fn cut_demo(target: &Target) -> Result<VocabularyCut, VocabularyError> {
    cut(&DEMO, &[TEXT], target, &[], &Additions::default(), &Silent)
}

fn counts() -> Counts {
    Counts::new(&DEMO, &Encoder::new(&DEMO).unwrap(), &[TEXT], &Silent).unwrap()
}

fn is_closed(tokenizer: &Tokenizer, kept: &[u32]) -> bool {
    let making = makings(tokenizer).unwrap();
    kept.iter().all(|&id| making[id as usize].parts().all(|part| kept.binary_search(&part).is_ok()))
}

#[test]
fn sizes_are_multiples_of_64_closed_and_inside_each_other() {
    let mut larger: Vec<u32> = (0..1024).collect();
    for (asked, given) in [(1024, 1024), (1000, 1024), (960, 960), (641, 704), (300, 320)] {
        let cut = cut_demo(&Target::Size(asked)).unwrap();
        assert_eq!((cut.kept.len(), cut.tokenizer.tokens.len()), (given, given));
        assert!(is_closed(&DEMO, &cut.kept), "{asked}");
        assert!(cut.kept.iter().all(|id| larger.binary_search(id).is_ok()), "{asked}");
        assert!(DEMO.required().keys().all(|id| cut.kept.binary_search(id).is_ok()));
        assert_eq!(cut.report.required, DEMO.required().len());
        larger = cut.kept;
    }
}

/// What `choose` says of the least wanted, told by looking at all tokens anew each time.
#[test]
fn each_dropped_token_was_the_least_used_that_nothing_left_was_made_of() {
    let (counts, making) = (counts(), makings(&DEMO).unwrap());
    let required = DEMO.required();
    let mut left: Vec<u32> = (0..1024).collect();
    while left.len() > 320 {
        let parts: BTreeSet<u32> = left.iter().flat_map(|&id| making[id as usize].parts()).collect();
        let free = left.iter().copied().filter(|id| !required.contains_key(id));
        let least = free.filter(|id| !parts.contains(id)).min_by_key(|&id| {
            (making[id as usize] != Making::Never, counts.weight(id), std::cmp::Reverse(id))
        });
        left.retain(|&id| Some(id) != least);
    }
    assert_eq!(choose(&DEMO, &making, &counts, &Target::Size(320), 0).unwrap().kept, left);
}

#[test]
fn what_is_expected_stays_for_a_size_and_a_coverage_is_of_the_texts() {
    let without = cut_demo(&Target::Size(640)).unwrap();
    let counts = counts();
    let gone =
        (0..1024).find(|id| without.kept.binary_search(id).is_err() && counts.in_texts(*id) == 0).unwrap();
    let mut expected = vec![0.0; 1024];
    expected[gone as usize] = 0.01;
    let with =
        |target: &Target| cut(&DEMO, &[TEXT], target, &expected, &Additions::default(), &Silent).unwrap();
    assert!(with(&Target::Size(640)).kept.binary_search(&gone).is_ok());
    assert_eq!(with(&Target::Coverage(0.9)).kept, cut_demo(&Target::Coverage(0.9)).unwrap().kept);
    // what the texts have often goes on to be worth more than what is expected now and then
    expected[gone as usize] = 1e-6;
    let size = Target::Size(640);
    let rarely = cut(&DEMO, &[TEXT], &size, &expected, &Additions::default(), &Silent).unwrap();
    let most_used = |kept: &[u32]| {
        (0..1024).filter(|&id| counts.in_texts(id) > 1 && kept.binary_search(&id).is_err()).count()
    };
    assert_eq!(most_used(&rarely.kept), most_used(&without.kept));
}

#[test]
fn what_vocabularies_lack_of_other_texts_is_told_without_them() {
    let middle = BUILT_IN_TEXT.char_indices().map(|(at, _)| at).find(|&at| at >= BUILT_IN_TEXT.len() / 2);
    let (first, second) = BUILT_IN_TEXT.split_at(middle.unwrap());
    let text = NamedText { name: "first half", text: first };
    let other = Encoder::new(&DEMO).unwrap().encode(second, ENCODE).unwrap();
    let sizes = [960, 832, 704, 576, 448];
    let counted = CountedTexts::new(&DEMO, &[text], &[0.0; 1024], &Silent).unwrap();
    let smaller = counted.vocabularies(&[], &sizes, true).unwrap();
    assert_eq!(smaller.len(), sizes.len());
    let own = Encoder::new(&DEMO).unwrap().encode(first, ENCODE).unwrap();
    for SmallerVocabulary { kept, .. } in smaller {
        let share = |ids: &[u32]| {
            ids.iter().filter(|id| kept.binary_search(id).is_err()).count() as f64 / ids.len() as f64
        };
        let told = counted.lacking(kept.len()).unwrap();
        assert!((0.6..1.6).contains(&(told / share(&other))), "{} tokens: {told}", kept.len());
        // of the text that a vocabulary was chosen by it lacks less
        assert!(told > 1.05 * share(&own), "{} tokens: {told}, {}", kept.len(), share(&own));
    }
    let one_line = NamedText { name: "one line", text: "No text of one line tells what others have." };
    let counted = CountedTexts::new(&DEMO, &[one_line], &[0.0; 1024], &Silent).unwrap();
    assert_eq!(counted.lacking(512), None);
}

#[test]
fn sizes_are_checked_before_anything_is_counted() {
    for (asked, room) in [(100, 0), (1025, 0), (320, 64), (1024, 0), (512, 10)] {
        let whole = choose(&DEMO, &makings(&DEMO).unwrap(), &counts(), &Target::Size(asked), room);
        let told = |error: VocabularyError| error.to_string();
        assert_eq!(Target::Size(asked).check(&DEMO, room).map_err(told), whole.map(|_| ()).map_err(told));
    }
}

#[test]
fn coverage_is_reached_and_not_by_far() {
    let counts = counts();
    let covered =
        |kept: &[u32]| kept.iter().map(|&id| counts.in_texts(id)).sum::<u64>() as f64 / counts.total() as f64;
    for share in [0.7, 0.9, 0.99, 1.0] {
        let cut = cut_demo(&Target::Coverage(share)).unwrap();
        let text = &cut.report.texts[0];
        assert!(covered(&cut.kept) >= share);
        assert!((text.coverage() - covered(&cut.kept)).abs() < 1e-12);
        assert_eq!(text.tokens_before, counts.total());
        if cut.kept.len() > 320 {
            let smaller = cut_demo(&Target::Size(cut.kept.len() - 64)).unwrap();
            assert!(covered(&smaller.kept) < share, "{share}");
        }
    }
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        let error = cut_demo(&Target::Coverage(share)).unwrap_err();
        assert!(matches!(error, VocabularyError::Coverage { .. }), "{error}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cut_demo(&Target::Size(500)).unwrap())
    };
    let (one, four) = (with(1), with(4));
    assert_eq!((one.kept, one.tokenizer, one.report), (four.kept, four.tokenizer, four.report));
}

#[test]
fn sizes_that_cannot_be_are_refused_with_what_can() {
    let error = cut_demo(&Target::Size(100)).unwrap_err();
    let required = DEMO.required().len();
    assert_eq!(
        error.to_string(),
        format!(
            "a vocabulary of 100 tokens is too small: {required} tokens must stay (bytes, special tokens, and what those are made of)"
        )
    );
    assert!(cut_demo(&Target::Size(required)).is_ok());
    let error = cut_demo(&Target::Size(1025)).unwrap_err();
    assert_eq!(error.to_string(), "a vocabulary of 1025 tokens cannot be cut from one of 1024");
}

#[test]
fn texts_without_words_are_refused_where_words_are_counted() {
    let with = |text, target: &Target| {
        cut(&DEMO, &[NamedText { name: "text", text }], target, &[], &Additions::default(), &Silent)
    };
    for target in [Target::Size(512), Target::Coverage(0.9)] {
        assert!(matches!(with("", &target).unwrap_err(), VocabularyError::NoText));
        let error = with("<|endoftext|><|endoftext|>", &target).unwrap_err();
        assert!(matches!(error, VocabularyError::OnlySpecial { tokens: 2 }), "{error}");
    }
    assert!(with("", &Target::Scripts(Scripts::new(&["latin"]).unwrap())).is_ok());
}

#[test]
fn a_list_keeps_its_tokens_and_what_they_are_made_of() {
    let tokenizer = small("byte_pair", 427);
    let by_text = |text: &str| tokenizer.tokens.iter().position(|token| token.text == text).unwrap() as u32;
    let listed = read_keep_list(&tokenizer, "ĠĠĠĠ\n\n t\n300\n<tool>\n").unwrap();
    assert_eq!(listed, [by_text("ĠĠĠĠ"), by_text("Ġt"), 300, by_text("<tool>")]);
    let cut =
        cut(&tokenizer, &[], &Target::Tokens(listed.clone()), &[], &Additions::default(), &Silent).unwrap();
    assert_eq!(cut.kept.len(), 320);
    assert!(is_closed(&tokenizer, &cut.kept));
    assert!(listed.iter().all(|id| cut.kept.binary_search(id).is_ok()));

    let message = |list| read_keep_list(&tokenizer, list).unwrap_err().to_string();
    assert_eq!(
        message("te\nzzzz"),
        "line 2: `zzzz` is no token of this vocabulary, neither by spelling nor by id"
    );
    assert_eq!(message("427"), "line 1: `427` is no token of this vocabulary, neither by spelling nor by id");
    assert_eq!(message("Ġt\n\n t\n"), "line 3: ` t` is the token of line 1");
    assert_eq!(message("\n"), "the list of tokens has no line");
}

#[test]
fn scripts_keep_their_tokens_and_no_others() {
    let tokenizer = small("sentence_piece", 563);
    let scripts = Scripts::new(&["greek"]).unwrap();
    let cut =
        cut(&tokenizer, &[TEXT], &Target::Scripts(scripts.clone()), &[], &Additions::default(), &Silent)
            .unwrap();
    let foreign = |id: u32| {
        let token = &tokenizer.tokens[id as usize];
        matches!(token.kind, TokenKind::Normal | TokenKind::UserDefined)
            && !scripts.hold(&tokenizer.bytes_of(id))
    };
    let gone: Vec<u32> = (0..563).filter(|id| cut.kept.binary_search(id).is_err()).collect();
    assert!(!gone.is_empty());
    for id in gone {
        assert!(
            foreign(id) || tokenizer.tokens[id as usize].is_spare(),
            "{:?}",
            tokenizer.tokens[id as usize]
        );
    }
}

fn check(
    parent: &Tokenizer,
    cut: &Tokenizer,
    kept: &[u32],
    texts: &[NamedText<'_>],
) -> Result<GateCounts, VocabularyError> {
    let (parents, cuts) = (Encoder::new(parent)?, Encoder::new(cut)?);
    let before = Ready { tokenizer: parent, encoder: &parents };
    let after = Ready { tokenizer: cut, encoder: &cuts };
    gate::check(before, after, kept, &makings(parent)?, texts, &Silent)
}

#[test]
fn the_gate_finds_other_tokens_and_other_texts() {
    let parent = small("byte_pair", 427);
    let text = NamedText { name: "numbers", text: "one\n1234567890\nthe end\n" };
    let kept: Vec<u32> = (0..427).collect();
    let same = parent.keep(&kept).unwrap();
    let counts = check(&parent, &same, &kept, &[text]).unwrap();
    assert_eq!(counts, GateCounts { lines: 3, lines_of_kept_tokens: 3, tokens: 427 });

    // splits digits otherwise
    let mut other = same.clone();
    let TokenizerKind::BytePair { pre_tokenizer, .. } = &mut other.kind else { unreachable!() };
    "gpt-2".clone_into(pre_tokenizer);
    let numbers = NamedText { name: "numbers", text: "one\n1111\n  \nx" };
    let error = check(&parent, &other, &kept, &[numbers]).unwrap_err();
    assert!(
        matches!(&error, VocabularyError::OtherPieces { name, line: 2, failures: 1, .. } if name == "numbers"),
        "{error}"
    );

    // a byte that says nothing, on a line of which another token was dropped
    let dropped = parent.tokens.iter().position(|token| token.text == "Ġt").unwrap() as u32;
    let kept: Vec<u32> = kept.into_iter().filter(|&id| id != dropped).collect();
    let mut silent = parent.keep(&kept).unwrap();
    let letter = silent.tokens.iter().position(|token| token.text == "Q").unwrap();
    silent.tokens[letter].kind = TokenKind::Unused;
    let queens = NamedText { name: "queens", text: "one\nand tQ\n" };
    let error = check(&parent, &silent, &kept, &[queens]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`queens`, line 2: decodes to `and t\n`, expected `and tQ\n` (1 such lines)"
    );

    // a hole: what `ĠĠĠĠ` is made of is not there
    let part = parent.tokens.iter().position(|token| token.text == "ĠĠ").unwrap() as u32;
    let kept: Vec<u32> = (0..427).filter(|&id| id != part).collect();
    let error = check(&parent, &parent.keep(&kept).unwrap(), &kept, &[]).unwrap_err();
    assert!(matches!(error, VocabularyError::MadeOtherwise { .. }), "{error}");
}

#[test]
fn added_tokens_replace_pieces_of_the_parent() {
    let additions = read_additions(" elephant\nQwerty\n").unwrap();
    let cut = cut(&DEMO, &[TEXT], &Target::Size(384), &[], &additions, &Silent).unwrap();
    assert_eq!((cut.kept.len(), cut.tokenizer.tokens.len(), cut.report.tokens_after), (382, 384, 384));
    assert_eq!(cut.tokenizer.tokens[382].text, " elephant");
    assert_eq!(DEMO.decode(&cut.added[1].pieces, true).unwrap(), "Qwerty");
    assert!(cut.added.iter().all(|token| token.pieces.len() > 1));

    let known = read_additions("x\n\nQwerty").unwrap();
    let error = super::cut(&DEMO, &[TEXT], &Target::Size(384), &[], &known, &Silent).unwrap_err();
    assert!(matches!(error, VocabularyError::AlreadyToken { line: 1, .. }), "{error}");
    let error = read_additions("Qwerty\nQwerty").unwrap_err();
    assert!(matches!(error, VocabularyError::TokenTwice { line: 2, first: 1, .. }), "{error}");
    let error = add_tokens(&small("sentence_piece", 563), &DEMO, &additions).unwrap_err();
    assert!(matches!(error, VocabularyError::AddedSpace), "{error}");
}

#[test]
fn fewer_tokens_make_more_of_them_in_texts() {
    let cut = cut_demo(&Target::Size(512)).unwrap();
    let report = &cut.report.texts[0];
    assert!(report.tokens_after > report.tokens_before && report.tokens_kept < report.tokens_before);
    let (before, after) = report.bytes_per_token().unwrap();
    assert!((before * report.tokens_before as f64 - report.bytes as f64).abs() < 1e-6 && after < before);
}
