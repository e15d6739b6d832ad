//! The search against its baselines at equal evaluations, on an invented language model, and how many plans are predicted per second.
//!
//! `cargo run --release -p secateur-search --example equal_evaluations`
#![allow(clippy::print_stdout)]

mod model;

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use model::{Counting, Model};
use secateur_search::baselines::Baseline;
use secateur_search::{Budgets, Limit, Preset, Search, Silent, Study, Surrogate};

const EVALUATIONS: usize = 60;
const SEEDS: [u64; 3] = [1, 2, 3];

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::invent(7)?;
    println!("| megabytes | best predicted (seed) | random | (1+λ) | search | search, seconds |");
    println!("|---|---|---|---|---|---|");
    for megabytes in [45e6, 60e6] {
        let mut rows = [0.0; 4];
        let mut seconds = 0.0;
        for seed in SEEDS {
            let budgets = Budgets::new(model.quantities(), &[Some(megabytes), None])?;
            let search = Search::new(&model.space, &model, budgets, Preset::Balanced.settings(seed))?
                .limited(Limit::Evaluations(EVALUATIONS));
            for (row, baseline) in
                [Baseline::Seed, Baseline::Random, Baseline::OnePlusLambda].into_iter().enumerate()
            {
                let compared = baseline.run(&search, &model)?.ok_or("too few evaluations")?;
                rows[row] += model.held_out(&compared.plan) / SEEDS.len() as f64;
            }
            let began = Instant::now();
            let outcome = search.run(&model, &mut Study::in_memory(), &Silent)?;
            seconds += began.elapsed().as_secs_f64() / SEEDS.len() as f64;
            rows[3] += model.held_out(&outcome.chosen.genome) / SEEDS.len() as f64;
        }
        let [seed, random, evopress, ours] = rows;
        println!(
            "| {} | {seed:.4} | {random:.4} | {evopress:.4} | {ours:.4} | {seconds:.1} |",
            megabytes / 1e6
        );
    }
    println!("\n{:.0} plans predicted per second on one core", plans_per_second(&model)?);
    Ok(())
}

/// Predictions of a whole exploration on one thread, all else included.
fn plans_per_second(model: &Model) -> Result<f64, Box<dyn Error>> {
    let budgets = Budgets::new(model.quantities(), &[Some(50e6), None])?;
    let counting = Counting { model, predictions: AtomicU64::new(0) };
    let search = Search::new(&model.space, &counting, budgets, Preset::Fast.settings(1))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let began = Instant::now();
    pool.install(|| search.explore())?;
    Ok(counting.predictions.load(Relaxed) as f64 / began.elapsed().as_secs_f64())
}
