//! How fast a prompt of 512 tokens passes a model, beside stock llama.cpp on the F16 file of the same model and as many threads:
//! `bench-forward [MODEL.gguf] [RUNS]`, by default SmolLM2 of the fixtures. Both give the logits of the last token; weights are kept.

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::peak_memory;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Quantize};

type Failure = Box<dyn Error + Send + Sync>;

const TOKENS: usize = 512;

/// The judge's threads.
const THREADS: usize = 2;

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let model = arguments.next().map_or_else(|| fixture(SMOLLM2), PathBuf::from);
    let runs: usize = arguments.next().map_or(Ok(5), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let f16 = folder.path().join("f16.gguf");
    judge::quantize(
        &model,
        &f16,
        Quantize { file_type: "F16", allow_requantize: true, ..Quantize::default() },
    )?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    pool.install(|| measure(&f16, runs))
}

/// Ours and theirs by turns, since the machine may be busier at one time than at another.
fn measure(model: &Path, runs: usize) -> Result<(), Failure> {
    let checkpoint = Checkpoint::open(model)?;
    let start = Instant::now();
    let forward = Forward::new(&checkpoint, Residency::Keep)?;
    println!("read in {:.2} s", start.elapsed().as_secs_f64());
    let vocabulary = forward.spec().vocabulary_size as u32;
    let tokens: Vec<u32> = (0..TOKENS).map(|token| (token * 104_729) as u32 % vocabulary).collect();

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(seconds(&forward, &tokens)?);
        theirs.extend(judge::prefill(model, &tokens, 1)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("prompt of {TOKENS} tokens, {THREADS} threads, median of {runs}");
    println!("secateur:  {:.0} tokens/s", TOKENS as f64 / ours);
    println!("llama.cpp: {:.0} tokens/s on F16", TOKENS as f64 / theirs);
    println!("ratio:     {:.2}", theirs / ours);

    let hidden = {
        let mut hidden = forward.embed(&tokens)?;
        forward.run_layers(std::slice::from_mut(&mut hidden), &mut NoTaps, &Silent)?;
        hidden
    };
    let start = Instant::now();
    forward.for_each_logits(&hidden, 0..TOKENS, 128, |_, _| ())?;
    println!("all logits: {:.0} tokens/s", TOKENS as f64 / start.elapsed().as_secs_f64());
    if let Some(bytes) = peak_memory() {
        println!("peak memory: {:.0} MB", bytes as f64 / 1e6);
    }
    Ok(())
}

/// From token ids to the logits of the last.
fn seconds(forward: &Forward, tokens: &[u32]) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut hidden = forward.embed(tokens)?;
    forward.run_layers(std::slice::from_mut(&mut hidden), &mut NoTaps, &Silent)?;
    forward.logits(&hidden, tokens.len() - 1..tokens.len())?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
