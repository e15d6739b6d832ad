//! How fast a prompt of 512 tokens passes a model, beside stock llama.cpp on the F16 file of the same model and as many threads:
//! `bench-forward [MODEL.gguf] [RUNS] [--pytorch PYTHON]`, by default SmolLM2 of the fixtures. All give the logits of the last token; weights
//! are kept. PYTHON is an interpreter that has torch and transformers, as `tests/hf_check.sh` installs them: it computes in `f32`, as we do.

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::peak_memory;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;
use secateur_tests::binary;
use secateur_tests::fixtures::{SMOLLM2, fixture};
use secateur_tests::judge::{self, Quantize};
use serde::Deserialize;

type Failure = Box<dyn Error + Send + Sync>;

const TOKENS: usize = 512;

/// The judge's threads.
const THREADS: usize = 2;

fn main() -> Result<(), Failure> {
    let (pytorch, arguments) = split_pytorch(env::args().skip(1).collect())?;
    let mut arguments = arguments.into_iter();
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
    let pytorch = pytorch.map(|python| PyTorch::start(&python, &f16, folder.path())).transpose()?;
    pool.install(|| measure(&f16, runs, pytorch))
}

/// The interpreter after `--pytorch`, and the other arguments.
fn split_pytorch(mut arguments: Vec<String>) -> Result<(Option<String>, Vec<String>), Failure> {
    let Some(at) = arguments.iter().position(|argument| argument == "--pytorch") else {
        return Ok((None, arguments));
    };
    arguments.remove(at);
    if at == arguments.len() {
        return Err(
            "`--pytorch` needs the path of a Python interpreter that has torch and transformers".into()
        );
    }
    Ok((Some(arguments.remove(at)), arguments))
}

/// Ours and theirs by turns, since the machine may be busier at one time than at another.
fn measure(model: &Path, runs: usize, mut pytorch: Option<PyTorch>) -> Result<(), Failure> {
    let checkpoint = Checkpoint::open(model)?;
    let start = Instant::now();
    let forward = Forward::new(&checkpoint, Residency::Keep)?;
    println!("read in {:.2} s", start.elapsed().as_secs_f64());
    let vocabulary = forward.spec().vocabulary_size as u32;
    let tokens: Vec<u32> = (0..TOKENS).map(|token| (token * 104_729) as u32 % vocabulary).collect();

    if let Some(pytorch) = &mut pytorch {
        pytorch.take(&tokens)?;
    }
    let (mut ours, mut theirs, mut torch) = (Vec::new(), Vec::new(), Vec::new());
    let mut next_token = 0;
    for _ in 0..runs {
        let (seconds, logits) = pass(&forward, &tokens)?;
        ours.push(seconds);
        next_token = likeliest(&logits);
        theirs.extend(judge::prefill(model, &tokens, 1)?);
        if let Some(pytorch) = &mut pytorch {
            torch.push(pytorch.pass(next_token)?);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("prompt of {TOKENS} tokens, {THREADS} threads, median of {runs}");
    println!("secateur:  {:.0} tokens/s", TOKENS as f64 / ours);
    println!("llama.cpp: {:.0} tokens/s on F16", TOKENS as f64 / theirs);
    println!("ratio:     {:.2}", theirs / ours);
    if pytorch.is_some() {
        let torch = median(torch);
        println!(
            "PyTorch:   {:.0} tokens/s on f32; token {next_token} follows in both",
            TOKENS as f64 / torch
        );
        println!("ratio:     {:.2}", torch / ours);
    }

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

/// From token ids to the logits of the last, and the seconds that it takes.
fn pass(forward: &Forward, tokens: &[u32]) -> Result<(f64, Vec<f32>), Failure> {
    let start = Instant::now();
    let mut hidden = forward.embed(tokens)?;
    forward.run_layers(std::slice::from_mut(&mut hidden), &mut NoTaps, &Silent)?;
    let logits = forward.logits(&hidden, tokens.len() - 1..tokens.len())?;
    Ok((start.elapsed().as_secs_f64(), logits))
}

fn likeliest(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&left, &right| logits[left].total_cmp(&logits[right])).unwrap_or(0)
}

/// Stock transformers in a process of its own, which waits between passes: `tests/judge/pytorch.py`.
struct PyTorch {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    next_token: usize,
}

impl PyTorch {
    /// Starts it on the Hugging Face folder of the same weights.
    fn start(python: &str, model: &Path, folder: &Path) -> Result<Self, Failure> {
        let out = folder.join("hf");
        binary::compress(model, &["--type", "f16"], &out);
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("judge/pytorch.py"))
            .args([out.join("hf").as_os_str(), THREADS.to_string().as_ref()])
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{python}` does not start: {error}"))?;
        let (Some(questions), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("pipes were asked for".into());
        };
        Ok(Self { process, questions, answers: BufReader::new(answers) })
    }

    /// The prompt of every pass.
    fn take(&mut self, tokens: &[u32]) -> Result<(), Failure> {
        writeln!(self.questions, "{}", serde_json::to_string(tokens)?)?;
        Ok(())
    }

    /// The seconds of one pass, which must find the same token likeliest.
    fn pass(&mut self, next_token: usize) -> Result<f64, Failure> {
        writeln!(self.questions)?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("PyTorch gave no answer: {}", self.process.wait()?).into());
        }
        let answer: Answer = serde_json::from_str(&line)?;
        if answer.next_token != next_token {
            return Err(format!("PyTorch has token {} next, ours is {next_token}", answer.next_token).into());
        }
        Ok(answer.seconds)
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        // it would wait for more questions
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
