//! How source and artifact continue the same prompts: a few words that show a model that is broken.

use std::path::Path;

use secateur_model::tokenizer::{EncodeOptions, Encoder, Special};
use secateur_model::{Checkpoint, Tokenizer};
use secateur_reports::report::Sample;

use crate::CompressError;
use crate::forward::{Forward, ForwardError, Residency};
use crate::measure::MeasureError;
use crate::progress::Progress;

const PROMPTS: [&str; 3] =
    ["Once upon a time", "The most important thing about a house is", "In my opinion,"];

/// Tokens of a continuation.
const LENGTH: usize = 32;

/// Models with more parameters would take longer than seconds. It is a number and no stopwatch, so that the same model always gets the same
/// report.
const MOST_PARAMETERS: u64 = 16_000_000;

/// The same where the model was measured: that took minutes, and these weights as `f32` are 2 GB.
const MOST_PARAMETERS_MEASURED: u64 = 512_000_000;

/// Tokens that end a text.
const ENDS: [Special; 3] = [Special::EndOfSequence, Special::EndOfTurn, Special::EndOfMessage];

/// The likeliest continuations by both; none of large models, of models without a tokenizer, and of models that cannot be continued.
///
/// # Errors
/// If the written model cannot be read, or the user interrupts.
pub(crate) fn samples(
    source: &Checkpoint,
    written: &Path,
    is_measured: bool,
    progress: &dyn Progress,
) -> Result<Vec<Sample>, CompressError> {
    let most = if is_measured { MOST_PARAMETERS_MEASURED } else { MOST_PARAMETERS };
    let Some(tokenizer) = source.tokenizer.as_ref().filter(|_| source.spec.parameter_count() <= most) else {
        return Ok(Vec::new());
    };
    let prompts: Vec<(&str, Vec<u32>)> =
        PROMPTS.iter().filter_map(|prompt| Some((*prompt, tokens_of(source, tokenizer, prompt)?))).collect();
    progress.begin("continuing", (2 * LENGTH * prompts.len()) as u64);
    let written = Checkpoint::open(written)?;
    let both = [source, &written].map(|model| continued(model, tokenizer, &prompts, progress));
    let [of_source, of_artifact] = match both {
        [Ok(of_source), Ok(of_artifact)] => [of_source, of_artifact],
        [Err(ForwardError::Interrupted), _] | [_, Err(ForwardError::Interrupted)] => {
            return Err(CompressError::Interrupted);
        }
        // a model whose numbers are not finite is still cut as it was asked for
        [Err(ForwardError::NotFinite { .. }), _] | [_, Err(ForwardError::NotFinite { .. })] => {
            return Ok(Vec::new());
        }
        [Err(error), _] | [_, Err(error)] => return Err(MeasureError::from(error).into()),
    };
    let pairs = of_source.into_iter().zip(of_artifact);
    let sample = |((prompt, _), (source, artifact)): (&(&str, _), (String, String))| Sample {
        prompt: (*prompt).to_owned(),
        source,
        artifact,
    };
    Ok(prompts.iter().zip(pairs).map(sample).collect())
}

/// A prompt's tokens; `None` if the model has no room or no tokens for it.
fn tokens_of(source: &Checkpoint, tokenizer: &Tokenizer, prompt: &str) -> Option<Vec<u32>> {
    let options = EncodeOptions { add_special: true, parse_special: false };
    let mut tokens = Encoder::new(tokenizer).and_then(|encoder| encoder.encode(prompt, options)).ok()?;
    if tokenizer.adds_eos() {
        tokens.pop();
    }
    (!tokens.is_empty() && tokens.len() + LENGTH <= source.spec.context_length).then_some(tokens)
}

/// How a model goes on after each prompt.
fn continued(
    model: &Checkpoint,
    tokenizer: &Tokenizer,
    prompts: &[(&str, Vec<u32>)],
    progress: &dyn Progress,
) -> Result<Vec<String>, ForwardError> {
    let forward = Forward::new(model, Residency::Keep)?;
    let text = |(_, tokens): &(&str, Vec<u32>)| {
        let ids = greedy(&forward, tokenizer, tokens, progress)?;
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.bytes_of(id)).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    prompts.iter().map(text).collect()
}

/// The likeliest token each time, the first of equals.
fn greedy(
    forward: &Forward,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    progress: &dyn Progress,
) -> Result<Vec<u32>, ForwardError> {
    let prompt = forward.prompt(prompt, LENGTH)?;
    let mut decoder = prompt.begin(forward, 1);
    let mut next = likeliest(prompt.logits());
    let mut ids = Vec::new();
    let ends: Vec<u32> = ENDS.into_iter().filter_map(|special| tokenizer.special(special)).collect();
    while ids.len() < LENGTH && !ends.contains(&next) {
        if progress.is_interrupted() {
            return Err(ForwardError::Interrupted);
        }
        ids.push(next);
        progress.advance(1);
        next = likeliest(&decoder.step(&[next])?);
    }
    Ok(ids)
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0 as u32
}
