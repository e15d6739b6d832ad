//! How fast texts pass a model: `bench-forward MODEL [TEXTS]`, texts of 512 tokens, weights kept.

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use secateur_compress::forward::{Forward, Hidden, NoTaps, Residency};
use secateur_compress::peak_memory;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;

const TOKENS: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let model = arguments.next().ok_or("usage: bench-forward MODEL [TEXTS]")?;
    let texts: usize = arguments.next().map_or(Ok(4), |count| count.parse())?;
    let checkpoint = Checkpoint::open(Path::new(&model))?;

    let start = Instant::now();
    let forward = Forward::new(&checkpoint, Residency::Keep)?;
    println!("read in {:.2} s", start.elapsed().as_secs_f64());

    let vocabulary = forward.spec().vocabulary_size as u32;
    let text =
        |text: usize| (0..TOKENS).map(move |token| (text * 7919 + token * 104_729) as u32 % vocabulary);
    let mut hidden: Vec<Hidden> =
        (0..texts).map(|index| forward.embed(&text(index).collect::<Vec<_>>())).collect::<Result<_, _>>()?;
    for text in &mut hidden {
        let start = Instant::now();
        forward.run_layers(std::slice::from_mut(text), &mut NoTaps, &Silent)?;
        println!("layers: {:.0} tokens/s", TOKENS as f64 / start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    for text in &hidden {
        forward.for_each_logits(text, 0..TOKENS, 128, |_, _| ())?;
    }
    println!("logits: {:.0} tokens/s", (texts * TOKENS) as f64 / start.elapsed().as_secs_f64());
    if let Some(bytes) = peak_memory() {
        println!("peak memory: {:.0} MB", bytes as f64 / 1e6);
    }
    Ok(())
}
