//! Makes a large Hugging Face folder of random weights, to see how much memory commands take.
//!
//! `cargo run --release -p secateur-tests --bin generate-checkpoint -- --gigabytes 4 --out DIR`

use std::path::PathBuf;
use std::process::ExitCode;

use secateur_model::hf::config::spec_from_config;
use secateur_tests::random_checkpoint::{llama_config, write};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match arguments().and_then(|(gigabytes, out)| write(&config(gigabytes)?, &out)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            #[allow(clippy::print_stderr)] // a developer's command
            {
                eprintln!("generate-checkpoint: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<(f64, PathBuf), Failure> {
    let (mut gigabytes, mut out) = (4.0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--gigabytes" => gigabytes = arguments.next().ok_or("--gigabytes needs a number")?.parse()?,
            "--out" => out = arguments.next().map(PathBuf::from),
            other => return Err(format!("`{other}` is not understood").into()),
        }
    }
    Ok((gigabytes, out.ok_or("--out DIR is missing")?))
}

/// As many layers as reach the size.
fn config(gigabytes: f64) -> Result<Value, Failure> {
    for layers in 1.. {
        let config = llama_config(2048, 5632, [16, 4], layers);
        if spec_from_config(&config)?.parameter_count() as f64 * 2.0 >= gigabytes * 1e9 {
            return Ok(config);
        }
    }
    unreachable!("a larger number of layers is tried until one is enough")
}
