//! Whether a number became worse than chance explains.

use super::Check;
use crate::units;

/// A part of a file's size that is no regression: names and versions inside it differ in length.
const SIZE_TOLERANCE: f64 = 0.01;

/// How many standard errors of the difference chance explains: about 95 of 100 differences of equals.
const ERRORS: f64 = 2.0;

/// What is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Bytes of its file.
    pub bytes: u64,
    /// What its text has measured, if it was measured.
    pub judged: Option<Judged>,
}

/// What a text has measured: values with their standard errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Tells texts apart.
    pub text: String,
    /// Tells texts with vocabularies and parents apart.
    pub against: String,
    /// Mean divergence from the parent.
    pub divergence: (f64, Option<f64>),
    /// The same in each chunk of the text.
    pub divergence_of_chunk: Vec<f64>,
    /// Bits of loss for each byte of the text.
    pub bits_per_byte: (f64, Option<f64>),
}

/// The checks of a run against an earlier one, and what to know about them.
pub fn regressions(now: &Side, before: &Side) -> (Vec<Check>, Vec<String>) {
    let mut checks = vec![size(now.bytes, before.bytes)];
    let mut notes = Vec::new();
    match (&now.judged, &before.judged) {
        (Some(now), Some(before)) if now.against == before.against => {
            checks.push(divergence(now, before));
            let (found, allowed) = (now.bits_per_byte, before.bits_per_byte);
            checks.push(unpaired("bits per byte", found, allowed));
        }
        (Some(now), Some(before)) => {
            let differ = if now.text == before.text { "vocabularies or parents" } else { "texts" };
            notes.push(format!(
                "the two runs were judged on different {differ} ({}; {}), so their quality is not compared",
                now.against, before.against
            ));
        }
        (Some(_), None) => notes.push("the baseline was not measured, so quality is not compared".into()),
        (None, Some(_)) => {
            // the gate must not open because a measurement was left out
            checks.push(Check {
                name: "kld against the baseline".into(),
                kept: false,
                found: "not measured".into(),
                allowed: "measured, as the baseline was".into(),
                reason: "this run has no measurement".into(),
            });
        }
        (None, None) => notes.push("neither run was measured, so only sizes are compared".into()),
    }
    (checks, notes)
}

fn size(found: u64, before: u64) -> Check {
    Check {
        name: "size against the baseline".into(),
        kept: found as f64 <= before as f64 * (1.0 + SIZE_TOLERANCE),
        found: units::bytes(found),
        allowed: format!("at most {} + {}", units::bytes(before), units::percent(SIZE_TOLERANCE)),
        reason: format!("{:+.2} %", (found as f64 / before.max(1) as f64 - 1.0) * 100.0),
    }
}

/// Chunk by chunk where both have the same chunks: what makes a chunk hard for one makes it hard for the other.
fn divergence(now: &Judged, before: &Judged) -> Check {
    let name = "kld";
    let pairs: Vec<f64> = now
        .divergence_of_chunk
        .iter()
        .zip(&before.divergence_of_chunk)
        .map(|(now, before)| now - before)
        .collect();
    if pairs.len() < 2 || now.divergence_of_chunk.len() != before.divergence_of_chunk.len() {
        return unpaired(name, now.divergence, before.divergence);
    }
    let count = pairs.len() as f64;
    let mean = pairs.iter().sum::<f64>() / count;
    let variance = pairs.iter().map(|pair| (pair - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let difference = now.divergence.0 - before.divergence.0;
    let how = format!("paired over {} chunks", pairs.len());
    judge(name, now.divergence.0, before.divergence.0, difference, (variance / count).sqrt(), &how)
}

fn unpaired(name: &str, now: (f64, Option<f64>), before: (f64, Option<f64>)) -> Check {
    let square = |error: Option<f64>| error.unwrap_or_default().powi(2);
    let error = (square(now.1) + square(before.1)).sqrt();
    judge(name, now.0, before.0, now.0 - before.0, error, "unpaired")
}

fn judge(name: &str, found: f64, before: f64, difference: f64, error: f64, how: &str) -> Check {
    Check {
        name: format!("{name} against the baseline"),
        // a NaN is no proof of anything good
        kept: difference <= ERRORS * error,
        found: format!("{found:.4}"),
        allowed: format!("at most {before:.4} + {:.4}", ERRORS * error),
        reason: format!(
            "difference {difference:+.4} ± {error:.4}, {how}; {ERRORS} standard errors are chance"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(chunks: &[f64]) -> Judged {
        let count = chunks.len() as f64;
        let mean = chunks.iter().sum::<f64>() / count;
        let variance = chunks.iter().map(|chunk| (chunk - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Judged {
            text: "a".into(),
            against: "a, parent".into(),
            divergence: (mean, Some((variance / count).sqrt())),
            divergence_of_chunk: chunks.to_vec(),
            bits_per_byte: (1.0, Some(0.1)),
        }
    }

    fn side(judged: Option<Judged>) -> Side {
        Side { bytes: 1000, judged }
    }

    fn kept(checks: &[Check]) -> Vec<bool> {
        checks.iter().map(|check| check.kept).collect()
    }

    #[test]
    fn a_small_steady_loss_is_seen_in_pairs_that_spread_hides() {
        let before = judged(&[0.01, 0.05, 0.02, 0.09]);
        let now = judged(&[0.0111, 0.0512, 0.0211, 0.0912]);
        assert!(unpaired("kld", now.divergence, before.divergence).kept, "0.001 is far below the spread");
        let (checks, _) = regressions(&side(Some(now)), &side(Some(before.clone())));
        assert_eq!(kept(&checks), [true, false, true]);
        // the same run again is no regression
        let (checks, notes) = regressions(&side(Some(before.clone())), &side(Some(before)));
        assert_eq!((kept(&checks), notes.len()), (vec![true, true, true], 0));
    }

    #[test]
    fn other_texts_are_told_and_not_compared() {
        let before = judged(&[0.01, 0.02]);
        let now = Judged { text: "b".into(), against: "b, parent".into(), ..judged(&[0.5, 0.6]) };
        let (checks, notes) = regressions(&side(Some(now)), &side(Some(before)));
        assert_eq!(kept(&checks), [true]);
        assert!(notes[0].contains("different texts"), "{notes:?}");
    }

    #[test]
    fn a_measurement_that_is_left_out_does_not_open_the_gate() {
        let (checks, _) = regressions(&side(None), &side(Some(judged(&[0.01, 0.02]))));
        assert_eq!(kept(&checks), [true, false]);
    }

    #[test]
    fn a_percent_of_the_size_is_free() {
        assert!(size(1010, 1000).kept && !size(1011, 1000).kept && size(10, 1000).kept);
    }
}
