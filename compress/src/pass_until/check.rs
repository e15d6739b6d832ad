//! When a sample passes.

use regex::Regex;

/// How a sample is compared with the answer.
#[derive(Debug, Clone)]
pub enum Check {
    /// The same text, but for spaces around it.
    Exact(String),
    /// The pattern occurs in it.
    Regex(Regex),
    /// The number after its last `####`, or else its last number, is this one.
    Numeric(f64),
}

/// Why an answer does not fit its check.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
pub enum CheckError {
    #[error("the answer is no regular expression: {0}")]
    Regex(#[from] regex::Error),
    #[error("the answer `{answer}` has no number")]
    NoNumber { answer: String },
}

impl Check {
    /// The same text.
    pub fn exact(answer: &str) -> Self {
        Self::Exact(answer.trim().to_owned())
    }

    /// A pattern.
    ///
    /// # Errors
    /// If it is none.
    pub fn regex(answer: &str) -> Result<Self, CheckError> {
        Ok(Self::Regex(Regex::new(answer)?))
    }

    /// The number of an answer; in GSM8K's answers it stands after `####`.
    ///
    /// # Errors
    /// If there is no number.
    pub fn numeric(answer: &str) -> Result<Self, CheckError> {
        number_of(answer).map(Self::Numeric).ok_or_else(|| CheckError::NoNumber { answer: answer.to_owned() })
    }

    /// Whether a sample passes.
    pub fn passes(&self, sample: &str) -> bool {
        match self {
            Self::Exact(answer) => sample.trim() == answer,
            Self::Regex(pattern) => pattern.is_match(sample),
            Self::Numeric(answer) => number_of(sample) == Some(*answer),
        }
    }
}

/// The first number after the last `####`, or else the last number: `-1,234.50` is -1234.5.
fn number_of(text: &str) -> Option<f64> {
    match text.rsplit_once("####") {
        Some((_, answer)) => numbers(answer).next(),
        None => numbers(text).last(),
    }
}

fn numbers(text: &str) -> impl Iterator<Item = f64> + '_ {
    let is_part = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| c.is_ascii_digit())?;
        // a point right before the digits belongs to them, a sign before that too
        let point = usize::from(rest[..start].ends_with('.'));
        let sign = rest[..start - point].ends_with('-');
        let after = &rest[start..];
        let end = after.find(|c: char| !is_part(c)).unwrap_or(after.len());
        let digits = after[..end].trim_end_matches(['.', ',']).replace(',', "");
        rest = &after[end..];
        let digits = if point == 1 { format!(".{digits}") } else { digits };
        Some(digits.parse::<f64>().ok().map(|number| if sign { -number } else { number }))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_answer_is_the_last_or_the_one_that_is_marked() {
        for (text, number) in [
            ("Natalia sold 48/2 = <<48/2=24>>24 clips.\n#### 72", Some(72.0)),
            ("#### $1,234.50 in all, 3 times", Some(1234.5)),
            ("The answer is 18.", Some(18.0)),
            ("from 7 to -3", Some(-3.0)),
            ("half is .5", Some(0.5)),
            ("none at all", None),
            ("version 1.2.3", None),
        ] {
            assert_eq!(number_of(text), number, "{text}");
        }
    }

    #[test]
    fn each_check_passes_what_it_should() {
        assert!(Check::exact(" Paris\n").passes("Paris "));
        assert!(!Check::exact("Paris").passes("Paris."));
        assert!(Check::regex("^ ?(Paris|paris)\\b").unwrap().passes(" Paris, France"));
        assert!(Check::regex("(").is_err());
        assert!(Check::numeric("6 + 6 = 12 #### 12").unwrap().passes("so it is 12.0"));
        assert!(!Check::numeric("12").unwrap().passes("12 or 13"));
        assert!(Check::numeric("twelve").is_err());
    }
}
