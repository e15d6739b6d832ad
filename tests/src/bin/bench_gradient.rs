//! How fast a backward pass is: `bench-gradient MODEL [TEXTS]`, texts of 512 tokens.

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use secateur_compress::gradient::output_factors;
use secateur_compress::peak_memory;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;

const TOKENS: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let model = arguments.next().ok_or("usage: bench-gradient MODEL [TEXTS]")?;
    let texts: usize = arguments.next().map_or(Ok(8), |count| count.parse())?;
    let checkpoint = Checkpoint::open(Path::new(&model))?;
    let vocabulary = checkpoint.spec.vocabulary_size as u32;
    let text =
        |text: usize| (0..TOKENS).map(move |token| (text * 7919 + token * 104_729) as u32 % vocabulary);
    let texts: Vec<Vec<u32>> = (0..texts).map(|index| text(index).collect()).collect();

    let start = Instant::now();
    let factors = output_factors(&checkpoint, &texts, 1, &[], &Silent)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} tokens in {seconds:.1} s, {:.0} tokens/s",
        factors.tokens(),
        factors.tokens() as f64 / seconds
    );
    if let Some(bytes) = peak_memory() {
        println!("peak memory: {:.0} MB", bytes as f64 / 1e6);
    }
    Ok(())
}
