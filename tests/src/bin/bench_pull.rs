//! Pulls 1 GB over loopback with secateur and with Python's huggingface_hub in turn: wall time and peak memory.

#![allow(clippy::print_stdout)] // what it is for

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use clap::Parser;
use secateur_tests::binary;
use secateur_tests::fixtures::fixture;
use secateur_tests::hub_client::Home;
use secateur_tests::hub_server::HubModel;
use secateur_tests::random::Random;
use serde::Deserialize;

/// Compares pulls over loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Megabytes of the model
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Files that they are spread over
    #[arg(long, default_value_t = 1)]
    files: usize,
    /// Runs of each client
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Wall time in seconds, and most memory held in bytes.
#[derive(Debug, Deserialize)]
struct Measured {
    seconds: f64,
    peak_memory: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let bytes = arguments.megabytes * 1_000_000 / arguments.files as u64;
    let mut model = HubModel::new('c').with("config.json", b"{}");
    for number in 1..=arguments.files {
        let name = format!("model-{number:05}-of-{:05}.safetensors", arguments.files);
        let path = folder.path().join(&name);
        write_random(&path, bytes, number as u64)?;
        model = model.with_file(&name, &path)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        ours.push(measure(&model, secateur)?);
        theirs.push(measure(&model, python)?);
    }
    for (name, runs) in [("secateur", ours), ("huggingface_hub", theirs)] {
        let mut seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let peak = runs.iter().map(|run| run.peak_memory).max().unwrap_or_default();
        let (fastest, median) = (seconds[0], seconds[seconds.len() / 2]);
        println!(
            "{name:<16} median {median:6.2} s, fastest {fastest:6.2} s, peak memory {:.1} MB",
            peak as f64 / 1e6
        );
    }
    Ok(())
}

fn measure(
    model: &HubModel,
    pull: impl Fn(&Home) -> Result<Measured, Box<dyn std::error::Error>>,
) -> Result<Measured, Box<dyn std::error::Error>> {
    let mut home = Home::new();
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "30");
    home.server.add("org/model", model.clone());
    pull(&home)
}

/// Runs secateur below a Python that asks the clock and the kernel about it.
fn secateur(home: &Home) -> Result<Measured, Box<dyn std::error::Error>> {
    let script = "import json, resource, subprocess, sys, time\n\
                  started = time.monotonic()\n\
                  subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
                  seconds = time.monotonic() - started\n\
                  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n\
                  print(json.dumps({'seconds': seconds, 'peak_memory': peak}))\n";
    let mut command = home.command(Path::new("python3"));
    command.args(["-c", script]).arg(binary::path());
    command.args(["pull", "org/model", "--include", "*", "--quiet"]);
    measured(&mut command)
}

/// Python's own clock begins when the library is loaded.
fn python(home: &Home) -> Result<Measured, Box<dyn std::error::Error>> {
    let mut command = home.command(&fixture("venv/bin/python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/judge/hub.py")).arg("org/model");
    measured(&mut command)
}

fn measured(command: &mut Command) -> Result<Measured, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn write_random(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut random = Random::new(seed);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for _ in 0..bytes / 8 {
        file.write_all(&random.bits().to_le_bytes())?;
    }
    file.write_all(&vec![0; (bytes % 8) as usize])?;
    file.flush()
}
