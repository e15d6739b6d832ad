//! The search against the genetic algorithm of "Compressing Pre-trained Models of Code into 3 MB", in its space and by its objective.
//!
//! `cargo run --release -p secateur-search --example code_models`
#![allow(clippy::print_stdout)]

mod paper;

use std::error::Error;
use std::time::Instant;

use rayon::prelude::*;
use secateur_search::code_models::{CodeModels, EncoderShape};
use secateur_search::{Budgets, Preset, Search, Surrogate};

/// Runs of the search and of the paper's algorithm for each target.
const OURS: u64 = 10;
const THEIRS: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "| target | optimum | V, heads, hidden, FFN, layers | search found it | seconds each | the paper's GA found it |"
    );
    println!("|---|---|---|---|---|---|");
    for megabytes in [3.0, 10.0, 25.0, 50.0] {
        let models = CodeModels::new(megabytes)?;
        let best = optimum(&models).ok_or("no shapes")?;
        let target = best.objective(models.target());
        let began = Instant::now();
        let mut found = 0;
        for seed in 0..OURS {
            let budgets = Budgets::new(models.quantities(), &[])?;
            let search = Search::new(models.space(), &models, budgets, Preset::Balanced.settings(seed))?;
            found += u64::from(-search.explore()?.best.predicted == target);
        }
        let seconds = began.elapsed().as_secs_f64() / OURS as f64;
        let theirs: Vec<f64> = (0..THEIRS).into_par_iter().map(|seed| paper::search(&models, seed)).collect();
        let reached = theirs.iter().filter(|value| **value == target).count();
        let EncoderShape { vocabulary, heads, hidden, ffn, layers } = best;
        println!(
            "| {megabytes} MB | {target:.4} | {vocabulary}, {heads}, {hidden}, {ffn}, {layers} | {found} of {OURS} seeds | {seconds:.2} | {reached} of {THEIRS} seeds |"
        );
    }
    Ok(())
}

/// The best of all shapes, by brute force.
fn optimum(models: &CodeModels) -> Option<EncoderShape> {
    let units = models.space().units();
    let all: usize = units.iter().map(|unit| unit.levels).product();
    let value = |index: usize| {
        let mut rest = index;
        let levels = units.iter().map(|unit| {
            let level = rest % unit.levels;
            rest /= unit.levels;
            level as u16
        });
        let genome = models.space().genome(levels.collect()).ok()?;
        Some(models.shape(&genome))
    };
    let objective = |shape: &EncoderShape| shape.objective(models.target());
    (0..all).into_par_iter().filter_map(value).max_by(|a, b| objective(a).total_cmp(&objective(b)))
}
