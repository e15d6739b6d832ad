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

/// Models with more parameters would take longer than seconds, and more memory than the rest of the work. It is a number and no
/// stopwatch, so that the same model always gets the same report.
const MOST_PARAMETERS: u64 = 16_000_000;

/// Tokens that end a text.
const ENDS: [Special; 3] = [Special::EndOfSequence, Special::EndOfTurn, Special::EndOfMessage];

/// The likeliest continuations by both; none of large models, of models without a tokenizer, and of models that cannot be continued.
///
/// # Errors
/// If the written model cannot be read, or the user interrupts.
pub(crate) fn samples(
    source: &Checkpoint,
    written: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Sample>, CompressError> {
    let Some(tokenizer) = &source.tokenizer else { return Ok(Vec::new()) };
    if source.spec.parameter_count() > MOST_PARAMETERS {
        return Ok(Vec::new());
    }
    progress.begin("continuing", 0);
    let written = Checkpoint::open(written)?;
    let continued =
        PROMPTS.iter().filter_map(|prompt| sample(source, &written, tokenizer, prompt, progress).transpose());
    match continued.collect::<Result<Vec<_>, _>>() {
        Ok(samples) => Ok(samples),
        Err(ForwardError::Interrupted) => Err(CompressError::Interrupted),
        // a model whose numbers are not finite is still cut as it was asked for
        Err(ForwardError::NotFinite { .. }) => Ok(Vec::new()),
        Err(error) => Err(MeasureError::from(error).into()),
    }
}

/// One prompt; `None` if the model has no room or no tokens for it.
fn sample(
    source: &Checkpoint,
    written: &Checkpoint,
    tokenizer: &Tokenizer,
    prompt: &str,
    progress: &dyn Progress,
) -> Result<Option<Sample>, ForwardError> {
    let options = EncodeOptions { add_special: true, parse_special: false };
    let Ok(mut tokens) = Encoder::new(tokenizer).and_then(|encoder| encoder.encode(prompt, options)) else {
        return Ok(None);
    };
    if tokenizer.adds_eos() {
        tokens.pop();
    }
    if tokens.is_empty() || tokens.len() + LENGTH > source.spec.context_length {
        return Ok(None);
    }
    let continued = |checkpoint| {
        let ids = greedy(&Forward::new(checkpoint, Residency::Keep)?, tokenizer, &tokens, progress)?;
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.bytes_of(id)).collect();
        Ok::<_, ForwardError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (source, artifact) = (continued(source)?, continued(written)?);
    Ok(Some(Sample { prompt: prompt.to_owned(), source, artifact }))
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
