//! The passages of the calibration text that plans are measured on.

use secateur_compress::statistics::Statistics;

/// Passages, at most and if there are enough at least, and tokens of each: shorter than the sequences of calibration, since what matters is how many
/// places of the text are seen in a time.
const MOST: usize = 16;
const FEW: usize = 4;
const TOKENS: usize = 256;

/// Passages that nothing is solved on, as a shape loses about half of what it loses elsewhere on those that it was repaired on (docs/search.md); of a text
/// that is too short for that, passages from all over it.
pub(crate) fn passages(statistics: &Statistics) -> Vec<Vec<u32>> {
    let judging = of_judging(&statistics.judging().collect::<Vec<_>>());
    if judging.len() >= FEW {
        return judging;
    }
    let mut passages = statistics.spread(MOST);
    passages.iter_mut().for_each(|passage| passage.truncate(TOKENS));
    passages
}

/// Passages of these sequences: first the beginnings of all, so that few passages are of many places.
fn of_judging(sequences: &[&[u32]]) -> Vec<Vec<u32>> {
    let longest = sequences.iter().map(|sequence| sequence.len()).max().unwrap_or_default();
    let starts = (0..longest).step_by(TOKENS);
    let at = |start| sequences.iter().filter_map(move |sequence| sequence.get(start..start + TOKENS));
    starts.flat_map(at).take(MOST).map(<[u32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_come_before_what_follows_them() {
        let texts: Vec<Vec<u32>> =
            [512, 300, 200, 800].iter().map(|&length| (length..2 * length).collect()).collect();
        let sequences: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let starts: Vec<u32> = of_judging(&sequences).iter().map(|passage| passage[0]).collect();
        // the third is too short, and the ends of the others are
        assert_eq!(starts, [512, 300, 800, 512 + 256, 800 + 256, 800 + 512]);
        assert!(of_judging(&sequences).iter().all(|passage| passage.len() == TOKENS));
        assert_eq!(of_judging(&[&texts[3][..]; 10]).len(), MOST);
    }
}
