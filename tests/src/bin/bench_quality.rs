//! What a model loses for its size, by stock presets and by us, judged by stock llama.cpp on text that neither was calibrated on:
//!
//! ```text
//! bench-quality REFERENCE.gguf --text CALIBRATE --judge JUDGE [--chunks N] [--tokens N] [--preset NAME]... [--ours "OPTIONS"]...
//!     [--chart FILE.svg]
//! bench-quality --table FILE.md --chart FILE.svg
//! ```
//!
//! A preset is one of llama-quantize's, with the importance matrix of the calibration text; `NAME:TYPE` stores the token embedding as
//! TYPE. `--ours` are options of `secateur compress`. It prints a table in Markdown, a row as soon as it is measured; the second form draws the rows of such a
//! table without measuring anew.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a developer's command

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use secateur_reports::chart::{Chart, Series};
use secateur_tests::binary;
use secateur_tests::judge::{self, Chunks, Divergence, Quantize};

type Failure = Box<dyn Error>;

struct Arguments {
    reference: PathBuf,
    calibrate: PathBuf,
    judge: PathBuf,
    chunks: usize,
    tokens: String,
    presets: Vec<String>,
    ours: Vec<String>,
    chart: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-quality: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Failure> {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    if let [first, table, second, chart] = typed.as_slice()
        && (first.as_str(), second.as_str()) == ("--table", "--chart")
    {
        return Ok(std::fs::write(chart, drawn(&std::fs::read_to_string(table)?).svg())?);
    }
    run(&arguments()?)
}

/// The rows of a table that was printed before: the first one in the text.
fn drawn(table: &str) -> Chart {
    let [mut stock, mut ours] = series();
    let rows = table.lines().skip_while(|line| !line.starts_with("| how | bytes"));
    for line in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('*')).collect();
        let [_, name, bytes, divergence, ..] = cells.as_slice() else { continue };
        let mean =
            divergence.split_whitespace().next().and_then(|mean| mean.trim_matches('*').parse::<f64>().ok());
        let (Ok(bytes), Some(mean)) = (bytes.parse::<f64>(), mean) else { continue };
        let series = if name.starts_with("secateur") { &mut ours } else { &mut stock };
        series.points.push((bytes / 1e6, 1e3 * mean));
    }
    chart(stock, ours)
}

/// The presets' and ours, without points.
fn series() -> [Series; 2] {
    ["llama-quantize with importance matrix", "secateur"]
        .map(|name| Series { name: name.to_owned(), points: Vec::new() })
}

fn arguments() -> Result<Arguments, Failure> {
    let (mut reference, mut calibrate, mut judge, mut chart, mut chunks) = (None, None, None, None, 20);
    let (mut presets, mut ours, mut tokens) = (Vec::new(), Vec::new(), "24576".to_owned());
    let mut typed = std::env::args().skip(1);
    while let Some(argument) = typed.next() {
        let mut value = || typed.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--text" => calibrate = Some(PathBuf::from(value()?)),
            "--judge" => judge = Some(PathBuf::from(value()?)),
            "--chunks" => chunks = value()?.parse()?,
            "--tokens" => tokens = value()?,
            "--chart" => chart = Some(PathBuf::from(value()?)),
            "--preset" => presets.push(value()?),
            "--ours" => ours.push(value()?),
            _ => reference = Some(PathBuf::from(argument)),
        }
    }
    Ok(Arguments {
        reference: reference.ok_or("which REFERENCE.gguf?")?,
        calibrate: calibrate.ok_or("--text FILE is missing")?,
        judge: judge.ok_or("--judge FILE is missing")?,
        chunks,
        tokens,
        presets,
        ours,
        chart,
    })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("base");
    let chunks = Chunks { count: arguments.chunks, length: 512 };
    let parent = judge::perplexity(&arguments.reference, &arguments.judge, chunks, Some(&base))?;
    println!("Reference: perplexity {:.2} on {} tokens.\n", parent.perplexity, parent.scored_tokens);
    println!("| how | bytes | mean KL | 99 % | same top | perplexity | seconds |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let imatrix = folder.path().join("imatrix.gguf");
    if !arguments.presets.is_empty() {
        let text = ["--text".into(), arguments.calibrate.clone().into_os_string()];
        let options = ["--tokens", &arguments.tokens, "--imatrix"].map(Into::into);
        secateur(
            "calibrate",
            &arguments.reference,
            &[&text[..], &options, &[imatrix.clone().into()]].concat(),
        )?;
    }
    let child = folder.path().join("child.gguf");
    let [mut stock, mut ours] = series();
    for preset in &arguments.presets {
        let started = Instant::now();
        let (file_type, embedding) =
            preset.split_once(':').map_or((preset.as_str(), None), |(a, b)| (a, Some(b)));
        let how = Quantize {
            file_type,
            token_embedding_type: embedding,
            imatrix: Some(&imatrix),
            ..Quantize::default()
        };
        judge::quantize(&arguments.reference, &child, how)?;
        stock.points.push(row(&format!("llama-quantize {preset}"), &child, &base, started)?);
    }
    for options in &arguments.ours {
        let started = Instant::now();
        let out = folder.path().join("ours");
        let mut typed: Vec<std::ffi::OsString> = options.split_whitespace().map(Into::into).collect();
        typed.extend(["--text".into(), arguments.calibrate.clone().into_os_string()]);
        typed.extend(["--tokens", &arguments.tokens, "--out"].map(Into::into));
        typed.push(out.clone().into_os_string());
        secateur("compress", &arguments.reference, &typed)?;
        ours.points.push(row(&format!("secateur {options}"), &out.join("model.gguf"), &base, started)?);
    }
    if let Some(path) = &arguments.chart {
        std::fs::write(path, chart(stock, ours).svg())?;
    }
    Ok(())
}

fn secateur(command: &str, model: &Path, options: &[std::ffi::OsString]) -> Result<(), Failure> {
    let ran = Command::new(binary::path()).arg(command).arg(model).args(options).output()?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned().into());
    }
    Ok(())
}

/// Divergence over size, from the smallest file to the largest.
fn chart(mut stock: Series, mut ours: Series) -> Chart {
    for series in [&mut stock, &mut ours] {
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let points = stock.points.iter().chain(&ours.points);
    let smallest = points.map(|point| point.0).fold(f64::INFINITY, f64::min);
    Chart {
        title: "Mean KL divergence from the parent, thousandths of a nat per token".to_owned(),
        x: "MB of model.gguf".to_owned(),
        start: (0.9 * smallest).floor(),
        y: String::new(),
        series: vec![stock, ours],
    }
}

/// Prints a row; gives megabytes and thousands of the mean divergence.
fn row(name: &str, child: &Path, base: &Path, started: Instant) -> Result<(f64, f64), Failure> {
    let seconds = started.elapsed().as_secs_f64();
    let Divergence { mean, mean_error, percentile_99, same_top, perplexity, .. } =
        judge::divergence(child, base)?;
    let bytes = std::fs::metadata(child)?.len();
    println!(
        "| {name} | {bytes} | {mean:.4} ± {mean_error:.4} | {percentile_99:.3} | {:.1} % | {perplexity:.2} | {seconds:.0} |",
        100.0 * same_top
    );
    Ok((bytes as f64 / 1e6, 1e3 * mean))
}
