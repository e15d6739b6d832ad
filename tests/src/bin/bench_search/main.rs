//! How well plans are predicted, and what searching is worth beside other ways to spend as many measurements:
//!
//! ```text
//! bench-search MODEL --text TEXT --max-size SIZE [--max-size SIZE]... [--plans N] [--seconds S] [--sequences N] [--tokens N]
//!     [--cache FOLDER] [--chart FILE.svg] [--compare] [--evaluations N] [--seeds N]
//! ```
//!
//! Without `--compare`, random plans within the first size, near the best predicted one and far from it, are predicted and then measured until all of
//! them or the seconds are through, each on so many sequences of the search: a row each in Markdown, then the rank correlation, and a drawing. With it, each way to find a plan has the same evaluations, sequences
//! and space, and the plans are judged on sequences of the text that neither calibration nor search saw. An evaluation takes 16 sequences of 512 tokens
//! through the model. `--cache` keeps what can be made again (statistics, repaired shapes) for the next time.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a developer's command

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use secateur_compress::Intent;
use secateur_compress::allocation::Knowledge;
use secateur_compress::progress::Silent;
use secateur_compress::statistics::{Place, calibrate, calibration_tokens, read_texts};
use secateur_model::{Checkpoint, Rounding};
use secateur_plans::{Limits, Measurer, Offer, Plans, Stages, Subject};
use secateur_profiles::ByteSize;
use secateur_reports::chart::{Chart, Series};
use secateur_search::baselines::Baseline;
use secateur_search::{Evaluate as _, Genome, Limit, Preset, Search, Study, Surrogate as _};
use secateur_tests::random::Random;
use secateur_tests::spearman::spearman;

type Failure = Box<dyn Error>;

/// Sequences that plans are judged on, one of so many of the text.
const HELD_OUT_STEP: usize = 8;

struct Arguments {
    model: PathBuf,
    text: PathBuf,
    sizes: Vec<u64>,
    plans: usize,
    time: Duration,
    sequences: Option<usize>,
    chart: Option<PathBuf>,
    tokens: usize,
    cache: Option<PathBuf>,
    compare: bool,
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
    let (mut sequences, mut chart) = (None, None);
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
            "--cache" => cache = Some(PathBuf::from(value()?)),
            "--compare" => compare = true,
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
        cache,
        compare,
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
    let knowledge = Knowledge::of(&whole, &statistics, 0, &Silent)?;
    let intent = Intent { asked: Vec::new(), rounding: Rounding::Full, calibration: None };
    let stages = Stages { shape: true, vocabulary: &[], offer: &Offer::default() };
    let subject =
        Subject { whole: &whole, statistics: &statistics, knowledge: &knowledge, intent: &intent, stages };
    let plans = Plans::new(subject, &[], cache, &Silent)?;
    if arguments.compare {
        return compare(arguments, &plans, &held_out);
    }
    predict(arguments, &plans)
}

/// Predicted beside measured, on the first sequences of the search.
fn predict(arguments: &Arguments, plans: &Plans) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pairs = Vec::new();
    let all = plans.sequences();
    let measurer = Measurer::new(plans, &all[..arguments.sequences.unwrap_or(all.len()).min(all.len())])?;
    println!("| bytes | shape | predicted | measured |\n|---:|---|---:|---:|");
    for genome in wandering(plans, arguments.sizes[0], arguments.plans)? {
        if started.elapsed() > arguments.time {
            break;
        }
        let prediction = plans.predictor().predict(&genome);
        let measured = mean(&measurer, &genome)?;
        let shape = plans.describe(&genome).body;
        println!("| {:.0} | {shape} | {:.4} | {measured:.4} |", prediction.costs[0], prediction.damage);
        pairs.push((shape, prediction.damage, measured));
    }
    let told = |pairs: &[(f64, f64)]| {
        spearman(pairs).map_or_else(|| "unknown".to_owned(), |correlation| format!("{correlation:.3}"))
    };
    let all: Vec<_> = pairs.iter().map(|(_, predicted, measured)| (*predicted, *measured)).collect();
    let whole = plans.describe(&plans.space().genome(vec![0; plans.space().len()])?).body;
    let of_whole = pairs.iter().filter(|(shape, ..)| *shape == whole);
    let of_whole: Vec<_> = of_whole.map(|(_, predicted, measured)| (*predicted, *measured)).collect();
    if let Some(chart) = &arguments.chart {
        std::fs::write(chart, drawn(&pairs, &whole).svg())?;
    }
    println!(
        "\nSpearman's rank correlation: {} on {} plans, {} on the {} of them that keep the shape; {:.0} seconds.",
        told(&all),
        all.len(),
        told(&of_whole),
        of_whole.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A dot for each plan.
fn drawn(pairs: &[(String, f64, f64)], whole: &str) -> Chart {
    let of = |name: &str, is_whole: bool| Series {
        name: name.to_owned(),
        points: pairs
            .iter()
            .filter(|(shape, ..)| (shape == whole) == is_whole)
            .map(|(_, predicted, measured)| (1e3 * predicted, 1e3 * measured))
            .collect(),
    };
    Chart {
        title: "Random plans: measured and predicted loss, thousandths of a nat per token".to_owned(),
        x: "predicted".to_owned(),
        start: 0.0,
        y: "measured".to_owned(),
        series: vec![of("the model's own shape", true), of("smaller shapes", false)],
        joined: false,
    }
}

/// Plans within so many bytes: from the best by types alone, 1, 2, 4 … 256 changes that keep the budget, of any kind of unit as likely as of any other.
fn wandering(plans: &Plans, bytes: u64, count: usize) -> Result<Vec<Genome>, Failure> {
    let budgets = plans.budgets(&Limits { size: Some(bytes), ..Limits::default() })?;
    let start = plans.by_types_alone(bytes).ok_or("the size is too small for the model's own shape")?;
    let units = plans.space().units();
    let mut kinds: Vec<&str> = units.iter().map(|unit| unit.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut random = Random::new(1);
    let mut draw = |below: usize| (random.uniform() * below as f64) as usize;
    let mut wander = |steps: usize| {
        let (mut here, mut done) = (start.clone(), 0);
        while done < steps {
            let kind = kinds[draw(kinds.len())];
            let of_kind: Vec<usize> = (0..units.len()).filter(|&unit| units[unit].kind == kind).collect();
            let unit = of_kind[draw(of_kind.len())];
            let there = plans.space().with(&here, unit, draw(units[unit].levels));
            if budgets.fit(&plans.predictor().predict(&there).costs) {
                here = there;
                done += 1;
            }
        }
        here
    };
    Ok((0..count).map(|index| wander(1 << (index % 9))).collect())
}

/// Plans found in several ways, judged on sequences that none of them saw.
fn compare(arguments: &Arguments, plans: &Plans, judge: &[Vec<u32>]) -> Result<(), Failure> {
    let judge = Measurer::new(plans, judge)?;
    println!("| bytes | how | held-out KL, mean ± deviation over seeds | seconds |\n|---:|---|---:|---:|");
    for &bytes in &arguments.sizes {
        for how in ["search", "types by knapsack alone", "random", "(1+λ)"] {
            let started = Instant::now();
            // the knapsack knows no seed
            let seeds = if how == "types by knapsack alone" { 1 } else { arguments.seeds };
            let judged = (0..seeds)
                .map(|seed| {
                    let found = find(how, arguments.evaluations, seed, plans, bytes)?;
                    mean(&judge, &found.ok_or_else(|| format!("{how} found nothing"))?)
                })
                .collect::<Result<Vec<f64>, Failure>>()?;
            let (mean, deviation) = mean_and_deviation(&judged);
            let seconds = started.elapsed().as_secs_f64();
            println!("| {bytes} | {how} | {mean:.4} ± {deviation:.4} | {seconds:.0} |");
        }
    }
    Ok(())
}

/// The plan that a way to find one ends with.
fn find(
    how: &str,
    evaluations: usize,
    seed: u64,
    plans: &Plans,
    bytes: u64,
) -> Result<Option<Genome>, Failure> {
    let by_types = plans.by_types_alone(bytes);
    let budgets = plans.budgets(&Limits { size: Some(bytes), ..Limits::default() })?;
    let search = Search::new(plans.space(), plans.predictor(), budgets, Preset::Balanced.settings(seed))?
        .limited(Limit::Evaluations(evaluations));
    let measurer = Measurer::new(plans, plans.sequences())?;
    let baseline = match how {
        "random" => Baseline::Random,
        "(1+λ)" => Baseline::OnePlusLambda,
        "search" => {
            let search = search.starting_from(by_types.into_iter().collect())?;
            let outcome = search.run(&measurer, &mut Study::in_memory(), &secateur_search::Silent)?;
            return Ok(Some(outcome.chosen.genome));
        }
        _ => return Ok(by_types),
    };
    Ok(baseline.run(&search, &measurer)?.map(|compared| compared.plan))
}

/// Nats per token that a plan loses on all sequences.
fn mean(measurer: &Measurer, genome: &Genome) -> Result<f64, Failure> {
    let count = measurer.chunks();
    Ok(measurer.measure(genome, 0..count)?.iter().sum::<f64>() / count as f64)
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}
