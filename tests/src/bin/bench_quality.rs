//! What a model loses for its size, by stock presets and by us, judged by stock llama.cpp on text that neither was calibrated on:
//!
//! ```text
//! bench-quality REFERENCE.gguf --text CALIBRATE... --judge JUDGE [--also TEXT]... [--chunks N] [--tokens N] [--preset NAME]...
//!     [--ours "OPTIONS"]... [--chart FILE.svg]
//! bench-quality --table FILE.md --chart FILE.svg
//! ```
//!
//! A preset is one of llama-quantize's, with the importance matrix of the calibration text; `NAME:TYPE` stores the token embedding as
//! TYPE, and `NAME,PATTERN=TYPE` the tensors of that name. `--also` tells the mean divergence on another text, too. `--ours` are options of `secateur compress`. It prints a table in Markdown, a row as soon as it is measured; the second form draws the rows of such a
//! table without measuring anew.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a developer's command

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use secateur_reports::chart::{Chart, Series};
use secateur_tests::binary;
use secateur_tests::judge::{self, Chunks, Divergence, Quantize};

type Failure = Box<dyn Error>;

struct Arguments {
    reference: PathBuf,
    calibrate: Vec<PathBuf>,
    judge: PathBuf,
    also: Vec<PathBuf>,
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
    let (mut reference, mut judge, mut chart, mut chunks) = (None, None, None, 20);
    let (mut calibrate, mut also) = (Vec::new(), Vec::new());
    let (mut presets, mut ours, mut tokens) = (Vec::new(), Vec::new(), "24576".to_owned());
    let mut typed = std::env::args().skip(1);
    while let Some(argument) = typed.next() {
        let mut value = || typed.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--text" => calibrate.push(PathBuf::from(value()?)),
            "--also" => also.push(PathBuf::from(value()?)),
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
        calibrate: if calibrate.is_empty() { return Err("--text FILE is missing".into()) } else { calibrate },
        judge: judge.ok_or("--judge FILE is missing")?,
        also,
        chunks,
        tokens,
        presets,
        ours,
        chart,
    })
}

/// The parent's log-probabilities on each text.
struct Judged {
    /// Of the text of the table.
    base: PathBuf,
    /// Of the others.
    also: Vec<PathBuf>,
}

impl Judged {
    fn begin(arguments: &Arguments, folder: &Path) -> Result<Self, Failure> {
        let chunks = Chunks { count: arguments.chunks, length: 512 };
        let base = folder.join("base");
        let parent = judge::perplexity(&arguments.reference, &arguments.judge, chunks, Some(&base))?;
        println!("Reference: perplexity {:.2} on {} tokens.\n", parent.perplexity, parent.scored_tokens);
        let mut also = Vec::new();
        for (index, text) in arguments.also.iter().enumerate() {
            let base = folder.join(format!("base-{index}"));
            judge::perplexity(&arguments.reference, text, chunks, Some(&base))?;
            also.push(base);
        }
        let mut names = String::new();
        for text in &arguments.also {
            write!(names, " mean KL, {} |", text.file_stem().unwrap_or_default().to_string_lossy())?;
        }
        println!("| how | bytes | mean KL | 99 % | same top | perplexity |{names} seconds |");
        println!("|---|---:|---:|---:|---:|---:|{}---:|", "---:|".repeat(also.len()));
        Ok(Self { base, also })
    }

    /// Prints a row; gives megabytes and thousands of the mean divergence.
    fn row(&self, name: &str, child: &Path, started: Instant) -> Result<(f64, f64), Failure> {
        let seconds = started.elapsed().as_secs_f64();
        let Divergence { mean, mean_error, percentile_99, same_top, perplexity, .. } =
            judge::divergence(child, &self.base)?;
        let bytes = std::fs::metadata(child)?.len();
        let mut also = String::new();
        for base in &self.also {
            let Divergence { mean, mean_error, .. } = judge::divergence(child, base)?;
            write!(also, " {mean:.4} ± {mean_error:.4} |")?;
        }
        println!(
            "| {name} | {bytes} | {mean:.4} ± {mean_error:.4} | {percentile_99:.3} | {:.1} % | {perplexity:.2} |{also} {seconds:.0} |",
            100.0 * same_top
        );
        Ok((bytes as f64 / 1e6, 1e3 * mean))
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let judged = Judged::begin(arguments, folder.path())?;
    let texts: Vec<OsString> = arguments
        .calibrate
        .iter()
        .flat_map(|text| ["--text".into(), text.clone().into_os_string()])
        .collect();
    let imatrix = folder.path().join("imatrix.gguf");
    if !arguments.presets.is_empty() {
        let options = ["--tokens", &arguments.tokens, "--imatrix"].map(Into::into);
        let options = [&texts[..], &options, &[imatrix.clone().into()]].concat();
        secateur("calibrate", &arguments.reference, &options)?;
    }
    let child = folder.path().join("child.gguf");
    let [mut stock, mut ours] = series();
    for preset in &arguments.presets {
        let started = Instant::now();
        let mut parts = preset.split(',');
        let name = parts.next().unwrap_or_default();
        let rules: Vec<(&str, &str)> = parts.filter_map(|rule| rule.split_once('=')).collect();
        let (file_type, embedding) = name.split_once(':').map_or((name, None), |(a, b)| (a, Some(b)));
        let how = Quantize {
            file_type,
            token_embedding_type: embedding,
            tensor_types: &rules,
            imatrix: Some(&imatrix),
            ..Quantize::default()
        };
        judge::quantize(&arguments.reference, &child, how)?;
        stock.points.push(judged.row(&format!("llama-quantize {preset}"), &child, started)?);
    }
    for options in &arguments.ours {
        let started = Instant::now();
        let out = folder.path().join("ours");
        let mut typed: Vec<OsString> = options.split_whitespace().map(Into::into).collect();
        // rounding to the nearest reads no text, and takes none
        if !options.contains("--rounding rtn") {
            typed.extend(texts.clone());
            typed.extend(["--tokens", &arguments.tokens].map(Into::into));
        }
        typed.extend(["--out".into(), out.clone().into_os_string()]);
        secateur("compress", &arguments.reference, &typed)?;
        ours.points.push(judged.row(&format!("secateur {options}"), &out.join("model.gguf"), started)?);
        std::fs::remove_dir_all(&out)?;
    }
    if let Some(path) = &arguments.chart {
        std::fs::write(path, chart(stock, ours).svg())?;
    }
    Ok(())
}

fn secateur(command: &str, model: &Path, options: &[OsString]) -> Result<(), Failure> {
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
        joined: true,
    }
}
