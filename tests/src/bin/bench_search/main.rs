//! How well plans are predicted, and what searching is worth beside other ways to spend as many measurements:
//!
//! ```text
//! bench-search MODEL --text TEXT --max-size SIZE [--max-size SIZE]... [--plans N] [--seconds S] [--sequences N] [--tokens N]
//!     [--vocabulary] [--profile NAME] [--space FILE] [--cache FOLDER] [--chart FILE.svg] [--compare] [--way NAME]...
//!     [--evaluations N] [--seeds N]
//! ```
//!
//! Plans differ in types and shape; with `--vocabulary` also in the tokens that they keep, by their use in the text, and with `--profile` in how they
//! keep keys and values. `--space` says what is offered, as for `secateur search`.
//!
//! Without `--compare`, random plans within the first size, near the best predicted one and far from it, are predicted and then measured until all of
//! them or the seconds are through: a row each in Markdown, then the rank correlation, and a drawing. With it, each way to find a plan (or those
//! named: `search`, `knapsack`, `predicted`, `random`, `exchanges`) has the same evaluations, sequences and space, and the plans are judged on
//! sequences of the text that neither calibration nor search saw; a drawing for each size (`FILE_72MB.svg`) has the best plan so far over evaluations. An evaluation takes the sequences of the search (16 of 256 tokens, or the first
//! `--sequences` of them) through the model. `--cache` keeps what can be made again (statistics, repaired shapes) for the next time.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a developer's command

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use secateur_compress::Intent;
use secateur_compress::allocation::Knowledge;
use secateur_compress::progress::Silent;
use secateur_compress::statistics::{Place, Text, calibrate, calibration_tokens, read_texts};
use secateur_model::{Checkpoint, Rounding};
use secateur_plans::{Care, Device, Measurer, Offer, Plans, Scored, Stages, Subject};
use secateur_profiles::{ByteSize, library};
use secateur_search::{Evaluate as _, Genome};

use compare::Way;

mod compare;
mod predict;

type Failure = Box<dyn Error>;

/// Sequences that plans are judged on, one of so many of the text.
const HELD_OUT_STEP: usize = 8;

/// Tokens of keys and values on a device, and of a prompt.
const CONTEXT: usize = 2048;
const PROMPT: usize = 256;

struct Arguments {
    model: PathBuf,
    text: PathBuf,
    sizes: Vec<u64>,
    plans: usize,
    time: Duration,
    sequences: Option<usize>,
    chart: Option<PathBuf>,
    tokens: usize,
    vocabulary: bool,
    profile: Option<String>,
    offer: Offer,
    cache: Option<PathBuf>,
    compare: bool,
    ways: Vec<Way>,
    evaluations: usize,
    seeds: u64,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-search: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments, Failure> {
    let (mut model, mut text, mut cache, mut sizes, mut compare) = (None, None, None, Vec::new(), false);
    let (mut sequences, mut chart, mut vocabulary, mut profile) = (None, None, false, None);
    let (mut offer, mut ways) = (Offer::default(), Vec::new());
    let (mut plans, mut seconds, mut tokens, mut evaluations, mut seeds) = (60, 600, 24_576, 40, 3);
    let mut typed = std::env::args().skip(1);
    while let Some(argument) = typed.next() {
        let mut value = || typed.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--text" => text = Some(PathBuf::from(value()?)),
            "--max-size" => sizes.push(value()?.parse::<ByteSize>()?.0),
            "--plans" => plans = value()?.parse()?,
            "--seconds" => seconds = value()?.parse()?,
            "--sequences" => sequences = Some(value()?.parse()?),
            "--chart" => chart = Some(PathBuf::from(value()?)),
            "--tokens" => tokens = value()?.parse()?,
            "--vocabulary" => vocabulary = true,
            "--profile" => profile = Some(value()?),
            "--space" => offer = serde_saphyr::from_str(&std::fs::read_to_string(value()?)?)?,
            "--cache" => cache = Some(PathBuf::from(value()?)),
            "--compare" => compare = true,
            "--way" => ways.push(Way::named(&value()?)?),
            "--evaluations" => evaluations = value()?.parse()?,
            "--seeds" => seeds = value()?.parse()?,
            _ => model = Some(PathBuf::from(argument)),
        }
    }
    if sizes.is_empty() {
        return Err("--max-size SIZE is missing".into());
    }
    Ok(Arguments {
        model: model.ok_or("which MODEL?")?,
        text: text.ok_or("--text FILE is missing")?,
        sizes,
        plans,
        time: Duration::from_secs(seconds),
        sequences,
        chart,
        tokens,
        vocabulary,
        profile,
        offer,
        cache,
        compare,
        ways: if ways.is_empty() { Way::ALL.to_vec() } else { ways },
        evaluations,
        seeds,
    })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let forgotten = tempfile::tempdir()?;
    let cache: &Path = arguments.cache.as_deref().unwrap_or(forgotten.path());
    let whole = Checkpoint::open(&arguments.model)?;
    let tokenizer = whole.tokenizer.as_ref().ok_or("the model has no tokenizer")?;
    let texts = read_texts(&arguments.text)?;
    let sequences = calibration_tokens(tokenizer, &whole.spec, &texts, Some(arguments.tokens))?;
    let is_held_out = |index: usize| index % HELD_OUT_STEP == HELD_OUT_STEP - 1;
    let (mut seen, mut held_out) = (Vec::new(), Vec::new());
    for (index, sequence) in sequences.into_iter().enumerate() {
        let part = if is_held_out(index) { &mut held_out } else { &mut seen };
        part.push(sequence.tokens);
    }
    if held_out.is_empty() {
        return Err(
            format!("the text has {} sequences, at least {HELD_OUT_STEP} are needed", seen.len()).into()
        );
    }
    let statistics = calibrate(&whole, &seen, &Place::Cache(cache.to_owned()), &Silent)?.statistics;
    let needed: &[Text] = if arguments.vocabulary { &texts } else { &[] };
    let stages = Stages { shape: Some(Care::Usual), vocabulary: needed, offer: &arguments.offer };
    let devices = arguments.profile.iter().map(|name| device(name)).collect::<Result<Vec<_>, Failure>>()?;
    let knowledge = Knowledge::of(&whole, &statistics, 0, stages.channels(&whole.spec)?, &Silent)?;
    let intent = Intent { asked: Vec::new(), rounding: Rounding::Full, calibration: None };
    let subject =
        Subject { whole: &whole, statistics: &statistics, knowledge: &knowledge, intent: &intent, stages };
    let plans = Plans::new(subject, &devices, cache, &Silent)?;
    if arguments.compare {
        return compare::compare(arguments, &plans, &held_out);
    }
    predict::predict(arguments, &plans)
}

fn device(name: &str) -> Result<Device, Failure> {
    let profile = library::find(name)?;
    let runtime = profile.runtime(None).ok_or_else(|| format!("{name} names no runtime"))?;
    Ok(Device::new(&profile, runtime, CONTEXT, PROMPT))
}

/// Nats per token that a plan loses on all sequences.
fn mean(measurer: &Measurer, genome: &Genome) -> Result<f64, Failure> {
    let count = measurer.chunks();
    Ok(measurer.measure(genome, 0..count)?.iter().sum::<f64>() / count as f64)
}

/// Measures on the sequences of the search that were asked for.
fn measurer<'p, 'a>(arguments: &Arguments, plans: &'p Plans<'a>) -> Result<Measurer<'p, 'a>, Failure> {
    let all = plans.sequences();
    let count = arguments.sequences.unwrap_or(all.len()).min(all.len());
    Ok(Measurer::new(plans, &all[..count], Scored::ThreeQuarters)?)
}
