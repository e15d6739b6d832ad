//! How texts become the sequences that pass the model.

use secateur_model::ModelSpec;
use secateur_model::tokenizer::{EncodeOptions, Encoder, Special, Tokenizer};

use super::{StatisticsError, Text};

/// Tokens of a sequence, as llama-imatrix has it by default.
pub const SEQUENCE_TOKENS: usize = 512;

/// Some tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// As the model reads them.
    pub tokens: Vec<u32>,
    /// What the text is called; where several met, that of the middle of the second half, which is what measuring goes by.
    pub text: String,
}

/// Sequences of equal length, as llama-imatrix cuts them: the tokens of all texts one after the other, and of each sequence the first
/// token replaced by BOS if the model wants it. What is left over at the end is dropped.
///
/// Sequences have [`SEQUENCE_TOKENS`], or the model's whole context where that is shorter. With a `limit`, as many sequences as fit
/// into it are taken, spread evenly over the texts.
///
/// # Errors
/// If there is less than one sequence of text, or the limit allows none.
pub fn calibration_tokens(
    tokenizer: &Tokenizer,
    spec: &ModelSpec,
    texts: &[Text],
    limit: Option<usize>,
) -> Result<Vec<Sequence>, StatisticsError> {
    let needed = SEQUENCE_TOKENS.min(spec.context_length);
    let wanted = limit.map(|limit| limit / needed);
    if let (Some(limit), Some(0)) = (limit, wanted) {
        return Err(StatisticsError::LimitTooSmall { limit, needed });
    }
    let encoder = Encoder::new(tokenizer)?;
    let options = EncodeOptions { add_special: true, parse_special: false };
    let mut tokens = Vec::new();
    // where each text ends
    let mut ends = Vec::with_capacity(texts.len());
    for text in texts {
        tokens.extend(encoder.encode(&text.content, options)?);
        ends.push(tokens.len());
    }
    if tokens.len() < needed {
        return Err(StatisticsError::TooShort { found: tokens.len(), needed });
    }
    let bos = tokenizer.special(Special::BeginOfSequence).filter(|_| tokenizer.adds_bos());
    let there = tokens.len() / needed;
    let taken = wanted.map_or(there, |wanted| wanted.min(there));
    let sequence = |index: usize| {
        let start = index * there / taken * needed;
        let mut tokens = tokens[start..start + needed].to_vec();
        tokens[0] = bos.unwrap_or(tokens[0]);
        let judged = start + needed * 3 / 4;
        // every token is before the end of some text
        let text = &texts[ends.partition_point(|&end| end <= judged)];
        Sequence { tokens, text: text.name.clone() }
    };
    Ok((0..taken).map(sequence).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use secateur_model::stored::FileBytes;
    use secateur_model::{Checkpoint, demo};

    use super::*;

    static DEMO: LazyLock<Checkpoint> =
        LazyLock::new(|| Checkpoint::from_gguf_bytes("demo", FileBytes::Static(demo::GGUF)).unwrap());

    fn sequences(contents: &[String], limit: Option<usize>) -> Result<Vec<Sequence>, StatisticsError> {
        let text =
            |(index, content): (usize, &String)| Text { name: index.to_string(), content: content.clone() };
        let texts: Vec<Text> = contents.iter().enumerate().map(text).collect();
        calibration_tokens(DEMO.tokenizer.as_ref().unwrap(), &DEMO.spec, &texts, limit)
    }

    #[test]
    fn sequences_are_as_long_as_a_short_context_allows() {
        let texts = ["It is a truth universally acknowledged. ".repeat(60)];
        let all = sequences(&texts, None).unwrap();
        assert!(all.len() > 1);
        assert!(all.iter().all(|sequence| sequence.tokens.len() == 256));
    }

    #[test]
    fn a_sequence_bears_the_name_of_the_text_that_it_is_judged_on() {
        let texts = ["It is a truth. ".repeat(90), "Universally acknowledged. ".repeat(90)];
        let all = sequences(&texts, None).unwrap();
        let of_first = all.iter().take_while(|sequence| sequence.text == "0").count();
        assert!(of_first > 0 && of_first < all.len());
        assert!(all[of_first..].iter().all(|sequence| sequence.text == "1"));
        let alone = sequences(&texts[..1], None).unwrap();
        assert!(of_first.abs_diff(alone.len()) <= 1);
    }

    #[test]
    fn a_limit_spreads_over_all_of_the_text() {
        let texts: Vec<String> =
            (0..400).map(|number| format!("Mr. {number} had {number} pounds a year. ")).collect();
        let all = sequences(&texts, None).unwrap();
        let some = sequences(&texts, Some(3 * 256 + 255)).unwrap();
        let expected: Vec<_> = [0, all.len() / 3, 2 * all.len() / 3].map(|index| all[index].clone()).into();
        assert_eq!(some, expected);
        assert_eq!(sequences(&texts, Some(1 << 30)).unwrap(), all);
    }

    #[test]
    fn too_little_text_and_too_low_a_limit_are_refused() {
        let short = sequences(&["Emma".to_owned()], None).unwrap_err();
        assert!(matches!(short, StatisticsError::TooShort { needed: 256, .. }), "{short}");
        let low = sequences(&["Emma ".repeat(1000)], Some(255)).unwrap_err();
        assert!(matches!(low, StatisticsError::LimitTooSmall { limit: 255, needed: 256 }), "{low}");
    }
}
