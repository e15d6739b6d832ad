//! What it takes to cut a fifth of a layer's channels, by `obs` and solved anew, and how that grows with the width of the model: models of random weights, two
//! layers each, one twice as wide as the one before.
//!
//! `bench-shape [TOKENS]`

#![allow(clippy::print_stdout)] // the table is its output

use std::error::Error;
use std::time::Instant;

use secateur_compress::peak_memory;
use secateur_compress::progress::Silent;
use secateur_compress::shape::{Importance, Layers, ShapeRequest, choose_shape, repair};
use secateur_compress::statistics::{Place, calibrate};
use secateur_model::Checkpoint;
use secateur_model::shape::Repair;
use secateur_tests::random::Random;
use secateur_tests::random_checkpoint::{llama_config, write};

const LAYERS: usize = 2;
const TEXT_TOKENS: usize = 512;
/// Hidden size, channels, channels that stay.
const WIDTHS: [[usize; 3]; 3] = [[576, 1536, 1216], [1152, 3072, 2432], [2304, 6144, 4864]];

fn main() -> Result<(), Box<dyn Error>> {
    let tokens: usize = std::env::args().nth(1).map_or(Ok(8192), |tokens| tokens.parse())?;
    println!("Seconds for a layer, {tokens} tokens.\n");
    println!(
        "| hidden | channels | calibrate | choose | repair | in all | grows with width to the power | peak memory, MB |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut before = None;
    for [hidden, channels, kept] in WIDTHS {
        let parts = seconds(hidden, channels, kept, tokens)?;
        let all: f64 = parts.iter().sum();
        let power = before.map_or_else(String::new, |before: f64| format!("{:.1}", (all / before).log2()));
        let [calibrate, choose, repair] = parts;
        let memory = peak_memory().unwrap_or_default() as f64 / 1e6;
        println!(
            "| {hidden} | {channels} | {calibrate:.2} | {choose:.2} | {repair:.2} | {all:.2} | {power} | {memory:.0} |"
        );
        before = Some(all);
    }
    Ok(())
}

/// Of a layer: calibration, choice, repair.
fn seconds(hidden: usize, channels: usize, kept: usize, tokens: usize) -> Result<[f64; 3], Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    write(&llama_config(hidden, channels, [hidden / 64, hidden / 192], LAYERS), &model)?;
    let checkpoint = Checkpoint::open(&model)?;
    let mut random = Random::new(1);
    let vocabulary = checkpoint.spec.vocabulary_size as u64;
    let mut text = || (0..TEXT_TOKENS).map(|_| (random.bits() % vocabulary) as u32).collect::<Vec<_>>();
    let texts: Vec<_> = (0..tokens.div_ceil(TEXT_TOKENS)).map(|_| text()).collect();

    let mut parts = [0.0; 3];
    let start = Instant::now();
    let place = Place::Folder(folder.path().join("statistics"));
    let statistics = calibrate(&checkpoint, &texts, &place, &Silent)?.statistics;
    parts[0] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let request = ShapeRequest {
        layers: Layers::All,
        heads: None,
        ffn: Some(kept),
        hidden: None,
        uneven: false,
        importance: Importance::Obs,
        repair: Repair::Solve,
    };
    let shape = choose_shape(&checkpoint, &statistics, &request, 0, &Silent)?;
    parts[1] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let smaller = checkpoint.clone().with_shape(&shape, None)?;
    repair(&checkpoint, &smaller, &shape, &statistics, &folder.path().join("repaired"), &Silent)?;
    parts[2] = start.elapsed().as_secs_f64();
    Ok(parts.map(|seconds| seconds / LAYERS as f64))
}
