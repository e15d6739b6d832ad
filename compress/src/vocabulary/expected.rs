//! Which tokens a model expects in texts like these, seen there or not.

use secateur_model::Checkpoint;

use crate::forward::{Forward, ForwardError, Hidden, NoTaps, Residency};
use crate::measure::add_probabilities;
use crate::progress::Progress;

/// Tokens that are read of a text: twice as many tell little more.
const MOST_TOKENS: usize = 2048;
/// Tokens times parameters that are enough; larger models read less, but not less than [`LEAST_TOKENS`].
const WORK: usize = 600_000_000_000;
const LEAST_TOKENS: usize = 512;
/// Tokens that are read at one place.
const EXCERPT: usize = 128;
/// One position of so many is asked: what neighbours expect is much the same.
const STEP: usize = 2;
/// Logits that exist at a time: 64 MiB.
const TILE_ELEMENTS: usize = 16 << 20;

/// The mean, over positions of `sequences`, of the probability that the model gives each token there: `[vocabulary]`, 1 in all.
///
/// A text of some hundred thousand words leaves out most of the words of its own language. The model knows them: where it could as well have read one of
/// these, it says so. So this tells tokens that such texts may have from those of other languages, which counting cannot. A few
/// thousand tokens from all over the sequences are read.
///
/// # Errors
/// If weights cannot be read, something in the model is not finite, or the user interrupts.
pub fn expected_use(
    model: &Checkpoint,
    sequences: &[&[u32]],
    progress: &dyn Progress,
) -> Result<Vec<f32>, ForwardError> {
    let size = model.spec.vocabulary_size;
    let excerpts =
        excerpts(sequences, (WORK / model.spec.parameter_count().max(1) as usize).max(LEAST_TOKENS));
    if excerpts.is_empty() {
        return Ok(vec![0.0; size]);
    }
    let forward = Forward::new(model, Residency::Stream)?;
    let mut hidden: Vec<Hidden> =
        excerpts.iter().map(|excerpt| forward.embed(excerpt)).collect::<Result<_, _>>()?;
    forward.run_layers(&mut hidden, &mut NoTaps, progress)?;
    let asked = asked(&hidden, model.spec.hidden_size);
    let mut sums = vec![0.0; size];
    let tile = (TILE_ELEMENTS / size).max(1);
    progress.begin("asking what is expected", asked.tokens() as u64);
    for start in (0..asked.tokens()).step_by(tile) {
        if progress.is_interrupted() {
            return Err(ForwardError::Interrupted);
        }
        let positions = start..(start + tile).min(asked.tokens());
        progress.advance(positions.len() as u64);
        add_probabilities(&forward.logits(&asked, positions)?, &mut sums);
    }
    Ok(sums.into_iter().map(|sum| (sum / asked.tokens() as f64) as f32).collect())
}

/// The beginnings of sequences from all over, about `tokens` tokens of them and no more than [`MOST_TOKENS`].
fn excerpts<'s>(sequences: &[&'s [u32]], tokens: usize) -> Vec<&'s [u32]> {
    let count = (tokens.min(MOST_TOKENS) / EXCERPT).min(sequences.len());
    let spread = (0..count).map(|index| sequences[index * sequences.len() / count]);
    spread
        .map(|sequence| &sequence[..sequence.len().min(EXCERPT)])
        .filter(|excerpt| !excerpt.is_empty())
        .collect()
}

/// Every second of the states, as those of one text.
fn asked(hidden: &[Hidden], width: usize) -> Hidden {
    let rows = hidden.iter().flat_map(|hidden| hidden.values().chunks(width).step_by(STEP));
    Hidden::new(rows.flatten().copied().collect(), width)
}

#[cfg(test)]
mod tests {
    use secateur_model::demo;
    use secateur_model::stored::FileBytes;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn excerpts_come_from_all_over_and_are_short() {
        let sequence: Vec<u32> = (0..512).collect();
        let sequences = vec![sequence.as_slice(); 100];
        assert_eq!(excerpts(&sequences, usize::MAX).len(), MOST_TOKENS / EXCERPT);
        assert_eq!(excerpts(&sequences, LEAST_TOKENS), vec![&sequence[..EXCERPT]; 4]);
        assert_eq!(excerpts(&sequences[..1], usize::MAX), [&sequence[..EXCERPT]]);
        assert!(excerpts(&[], usize::MAX).is_empty());
    }

    #[test]
    fn expectations_are_means_of_probabilities() {
        let model = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let sequences: [Vec<u32>; 2] = [(300..340).collect(), (500..521).collect()];
        let expected = expected_use(&model, &sequences.each_ref().map(Vec::as_slice), &Silent).unwrap();
        let forward = Forward::new(&model, Residency::Stream).unwrap();
        let (mut sums, mut positions) = (vec![0.0; 1024], 0.0);
        for sequence in &sequences {
            let mut hidden = [forward.embed(sequence).unwrap()];
            forward.run_layers(&mut hidden, &mut NoTaps, &Silent).unwrap();
            for position in (0..sequence.len()).step_by(2) {
                let logits = forward.logits(&hidden[0], position..position + 1).unwrap();
                let all: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                logits.iter().zip(&mut sums).for_each(|(&logit, sum)| *sum += f64::from(logit).exp() / all);
                positions += 1.0;
            }
        }
        assert!((expected.iter().map(|&one| f64::from(one)).sum::<f64>() - 1.0).abs() < 1e-6);
        let off = expected.iter().zip(&sums).map(|(one, sum)| (f64::from(*one) - sum / positions).abs());
        assert!(off.fold(0.0, f64::max) < 1e-6);
    }
}
