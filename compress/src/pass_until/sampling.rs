//! Samples: continuations of a prompt, several at a time.

use std::ops::Range;

use rayon::prelude::*;
use secateur_model::Tokenizer;
use secateur_model::tokenizer::{EncodeOptions, Encoder, Special};

use super::random::Random;
use super::{PassUntil, Task, TaskError};
use crate::forward::{Forward, ForwardError, Prompt, exp};
use crate::progress::Progress;

/// Samples that are taken side by side.
pub(super) const WAVE: usize = 16;

/// Tokens that end a sample.
const ENDS: [Special; 3] = [Special::EndOfSequence, Special::EndOfTurn, Special::EndOfMessage];

pub(super) struct Sampler<'a> {
    forward: &'a Forward<'a>,
    tokenizer: &'a Tokenizer,
    encoder: Encoder,
    ends: Vec<u32>,
    settings: PassUntil,
}

/// One sample as it grows.
struct Sample {
    /// Which of the wave.
    index: usize,
    random: Random,
    tokens: Vec<u32>,
}

impl<'a> Sampler<'a> {
    pub fn new(
        forward: &'a Forward,
        tokenizer: &'a Tokenizer,
        settings: PassUntil,
    ) -> Result<Self, TaskError> {
        let ends = ENDS.into_iter().filter_map(|special| tokenizer.special(special)).collect();
        Ok(Self { forward, tokenizer, encoder: Encoder::new(tokenizer)?, ends, settings })
    }

    /// Takes a prompt through the model; special tokens in it are taken for what they are.
    pub fn prompt(&self, text: &str) -> Result<Prompt, TaskError> {
        let options = EncodeOptions { add_special: true, parse_special: true };
        let mut tokens = self.encoder.encode(text, options)?;
        if self.tokenizer.adds_eos() {
            tokens.pop();
        }
        Ok(self.forward.prompt(&tokens, self.settings.max_tokens)?)
    }

    /// The texts of a wave of samples, in their order.
    pub fn sample(
        &self,
        prompt: &Prompt,
        task_index: usize,
        wave: Range<usize>,
        task: &Task,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, TaskError> {
        let mut texts = vec![String::new(); wave.len()];
        let mut samples: Vec<Sample> = wave
            .clone()
            .enumerate()
            .map(|(index, sample)| {
                let random = Random::of_sample(self.settings.seed, task_index, sample);
                Sample { index, random, tokens: Vec::new() }
            })
            .collect();
        let mut decoder = prompt.begin(self.forward, samples.len());
        let vocabulary_size = prompt.logits().len();
        let mut logits = prompt.logits().repeat(samples.len());
        while !samples.is_empty() {
            if progress.is_interrupted() {
                return Err(ForwardError::Interrupted.into());
            }
            let rows = logits.par_chunks_exact(vocabulary_size);
            let grow = |(sample, logits): (&mut Sample, &[f32])| self.grow(sample, logits, task);
            let finished: Vec<Option<String>> = samples.par_iter_mut().zip(rows).map(grow).collect();
            for (sample, text) in samples.iter().zip(&finished) {
                if let Some(text) = text {
                    texts[sample.index].clone_from(text);
                    progress.advance(1);
                }
            }
            let keep: Vec<bool> = finished.iter().map(Option::is_none).collect();
            let mut kept = keep.iter();
            samples.retain(|_| kept.next().copied().unwrap_or(true));
            decoder.retain(&keep);
            if !samples.is_empty() {
                let last: Vec<u32> =
                    samples.iter().filter_map(|sample| sample.tokens.last().copied()).collect();
                logits = decoder.step(&last)?;
            }
        }
        Ok(texts)
    }

    /// Adds a token; gives the text if that was the last.
    fn grow(&self, sample: &mut Sample, logits: &[f32], task: &Task) -> Option<String> {
        let token = draw(logits, self.settings.temperature, sample.random.uniform());
        let ends = self.ends.contains(&token);
        if !ends {
            sample.tokens.push(token);
        }
        let bytes: Vec<u8> = sample.tokens.iter().flat_map(|&token| self.tokenizer.bytes_of(token)).collect();
        let text = String::from_utf8_lossy(&bytes);
        if let Some(end) = task.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            return Some(text[..end].to_owned());
        }
        (ends || sample.tokens.len() == self.settings.max_tokens).then(|| text.into_owned())
    }
}

/// The token at a place of the cumulated distribution, `place` from 0 to 1.
fn draw(logits: &[f32], temperature: f32, place: f64) -> u32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // below exp's range a token is never drawn: not even at place 0, where a weight of 1e-38 would do
    let weight = |logit: &f32| match (logit - greatest) / temperature {
        x if x < -87.0 => 0.0,
        x => f64::from(exp(x)),
    };
    let total: f64 = logits.iter().map(weight).sum();
    let mut rest = place * total;
    for (token, logit) in logits.iter().enumerate() {
        rest -= weight(logit);
        if rest < 0.0 {
            return token as u32;
        }
    }
    // rounding used up the whole distribution: the likeliest is as good as any
    logits.iter().position(|&logit| logit == greatest).unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_as_often_as_their_probability_says() {
        let logits = [0.0, 1.0_f32.ln(), 2.0_f32.ln(), -100.0];
        let mut counts = [0_usize; 4];
        for sample in 0..40_000 {
            let place = Random::of_sample(1, 2, sample).uniform();
            counts[draw(&logits, 1.0, place) as usize] += 1;
        }
        // quarter, quarter, half, never; four standard deviations are 400
        for (count, expected) in counts.into_iter().zip([10_000_i64, 10_000, 20_000, 0]) {
            assert!((count as i64 - expected).abs() < 400, "{counts:?}");
        }
    }

    #[test]
    fn a_low_temperature_leaves_the_likeliest() {
        assert!((0..100).all(|place| draw(&[1.0, 1.5, 1.4], 1e-3, f64::from(place) / 100.0) == 1));
    }
}
