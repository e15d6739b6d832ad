//! The judge: stock llama.cpp, asked through `tests/judge/judge.py`.
//!
//! Each function starts the judge, which opens the model anew: nothing is left over from one question to
//! the next, and a model on which llama.cpp aborts is an error here, not the end of the test program.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{fs, io, thread};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fixtures::fixture;

/// One judge at a time: each takes two threads that wait for each other busily.
static BENCH: Mutex<()> = Mutex::new(());

/// Why the judge gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// llama.cpp, or the judge, refused: a model that does not load, a text that is too short.
    #[error("{0}")]
    Refused(String),
    /// The judge ended without an answer, as when llama.cpp aborts.
    #[error("the judge ended with {status}: {stderr}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        stderr: String,
    },
    /// The judge could not be started or spoken with.
    #[error("the judge cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// The judge's answer is not the one expected.
    #[error("the judge's answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
}

/// What llama.cpp says of a model that it has loaded whole, every tensor checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Loaded {
    /// Architecture, size and type in llama.cpp's words.
    pub description: String,
    /// `general.architecture`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
    /// Number of layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub embedding: u32,
    /// Number of tokens.
    pub vocabulary: u32,
    /// Tokens of context that it was trained for.
    pub context: u32,
    /// Whether the tokenizer puts BOS before a text.
    pub adds_bos: bool,
}

/// Loads a model whole.
///
/// # Errors
/// [`JudgeError::Refused`] with llama.cpp's words when it does not load.
pub fn load(model: &Path) -> Result<Loaded, JudgeError> {
    ask(judge("load").arg(model), &())
}

/// How a text becomes tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Specials {
    /// Add what the model wants at the ends of a text, as BOS.
    pub add: bool,
    /// Take the text of a special token for that token.
    pub parse: bool,
}

/// The token ids of each text.
///
/// # Errors
/// When the vocabulary does not load.
pub fn tokenize(model: &Path, texts: &[&str], specials: Specials) -> Result<Vec<Vec<u32>>, JudgeError> {
    #[derive(Deserialize)]
    struct Tokens {
        ids: Vec<Vec<u32>>,
    }
    let mut command = judge("tokenize");
    command.arg(model).args(specials.add.then_some("--add-special"));
    let tokens: Tokens = ask(command.args(specials.parse.then_some("--parse-special")), &texts)?;
    Ok(tokens.ids)
}

/// What a model is asked to continue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Prompt {
    /// A text, with BOS before it if the model adds one.
    Text(String),
    /// Token ids, as they are.
    Ids(Vec<u32>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[u32]> for Prompt {
    fn from(ids: &[u32]) -> Self {
        Self::Ids(ids.to_vec())
    }
}

/// A table `[rows, vocabulary]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Values of one row.
    pub columns: usize,
    /// All values, row after row.
    pub values: Vec<f32>,
}

impl Rows {
    /// The rows in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }
}

/// The probability of every token after each prompt: one row a prompt.
///
/// # Errors
/// When the model does not load or compute, or a prompt has no tokens or an unknown one.
pub fn next_token(model: &Path, prompts: &[Prompt]) -> Result<Rows, JudgeError> {
    rows("next-token", model, prompts)
}

/// The logits after every token of every prompt: one row a token, prompt after prompt.
///
/// # Errors
/// As [`next_token`].
pub fn logits(model: &Path, prompts: &[Prompt]) -> Result<Rows, JudgeError> {
    rows("logits", model, prompts)
}

/// A continuation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Continuation {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// Its text.
    pub text: String,
}

/// The likeliest continuation of a prompt, up to `count` tokens or the model's end.
///
/// # Errors
/// As [`next_token`].
pub fn greedy(model: &Path, prompt: &str, count: usize) -> Result<Continuation, JudgeError> {
    ask(judge("greedy").arg(model).arg(prompt).arg(count.to_string()), &())
}

/// The seconds that llama.cpp takes for a prompt and the logits of its last token, on two threads, in each of `runs` runs.
///
/// # Errors
/// As [`next_token`].
pub fn prefill(model: &Path, tokens: &[u32], runs: usize) -> Result<Vec<f64>, JudgeError> {
    #[derive(Deserialize)]
    struct Prefill {
        seconds: Vec<f64>,
    }
    let answer: Prefill = ask(judge("prefill").arg(model).arg(runs.to_string()), &tokens)?;
    Ok(answer.seconds)
}

/// The bytes by which a process grows at most while it loads a model and fills a context of so many tokens; `load_mode` is llama.cpp's own
/// word: `mmap` or `none`.
///
/// # Errors
/// As [`next_token`].
pub fn peak_memory(model: &Path, load_mode: &str, context: usize) -> Result<u64, JudgeError> {
    #[derive(Deserialize)]
    struct Peak {
        bytes: u64,
    }
    let mut command = judge("peak-memory");
    command.arg(model).args(["--load-mode", load_mode, "--ctx"]).arg(context.to_string());
    Ok(ask::<Peak>(&mut command, &())?.bytes)
}

/// Tokens per second of a prompt of 64 tokens and of 16 generated ones, as `llama-bench -o json` reports them, on one thread: two wait for
/// each other busily, which takes ever longer beside other programs. `tensor_type` is what the report calls the type.
///
/// # Errors
/// As [`next_token`].
pub fn speed(model: &Path, tensor_type: &str, repetitions: usize) -> Result<serde_json::Value, JudgeError> {
    let mut command = judge("speed");
    command
        .arg(model)
        .arg(tensor_type)
        .args(["--threads", "1"])
        .arg("--repetitions")
        .arg(repetitions.to_string());
    ask(&mut command, &())
}

/// How well a model foresees a text, as llama-perplexity has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Perplexity {
    /// `exp` of the mean loss.
    pub perplexity: f64,
    /// Its standard error.
    pub perplexity_error: f64,
    /// Mean negative log-likelihood of a scored token, in nats.
    pub loss: f64,
    /// The same of each chunk, for differences in pairs.
    pub loss_of_chunk: Vec<f64>,
    /// Number of tokens in the mean.
    pub scored_tokens: u64,
}

/// How a text is cut to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Chunks {
    /// How many chunks, from the beginning.
    pub count: usize,
    /// Tokens of each; the second half is scored. llama-perplexity takes 512 if not told otherwise.
    pub length: usize,
}

/// The perplexity over the first chunks of a text file; with `base`, also writes that
/// file of log-probabilities for [`divergence`], in llama.cpp's format.
///
/// # Errors
/// When the model does not load or compute, or the text is shorter than two chunks.
pub fn perplexity(
    model: &Path,
    text: &Path,
    chunks: Chunks,
    base: Option<&Path>,
) -> Result<Perplexity, JudgeError> {
    let mut command = judge("perplexity");
    command.arg(model).arg(text);
    command.arg("--chunks").arg(chunks.count.to_string()).arg("--ctx").arg(chunks.length.to_string());
    if let Some(base) = base {
        command.arg("--save-base").arg(base);
    }
    ask(&mut command, &())
}

/// How far a model is from another, as `llama-perplexity --kl-divergence` has it. Fractions, not per cent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Divergence {
    /// Mean Kullback-Leibler divergence of a scored token, in nats.
    pub mean: f64,
    /// Its standard error.
    pub mean_error: f64,
    /// The mean of each chunk, for differences in pairs.
    pub mean_of_chunk: Vec<f64>,
    /// Half of the tokens diverge no more.
    pub median: f64,
    /// 99 of 100 tokens diverge no more.
    pub percentile_99: f64,
    /// The greatest of all tokens.
    pub maximum: f64,
    /// Share of tokens for which both models hold the same next token for the likeliest.
    pub same_top: f64,
    /// Mean `ln` of the model's perplexity over the base's.
    pub log_perplexity_ratio: f64,
    /// Root mean square of the change of the right token's probability.
    pub rms_probability_change: f64,
    /// The model's perplexity.
    pub perplexity: f64,
    /// The base's perplexity, as far as the base file holds it.
    pub base_perplexity: f64,
    /// Number of tokens in the means.
    pub scored_tokens: u64,
}

/// The divergence of a model from the one that wrote the base file, over the same tokens.
///
/// # Errors
/// When the model does not load or compute, or has another vocabulary than the base.
pub fn divergence(model: &Path, base: &Path) -> Result<Divergence, JudgeError> {
    ask(judge("divergence").arg(model).arg(base), &())
}

/// The same with keys and values kept in a type of that name.
///
/// # Errors
/// As [`divergence`], or if llama.cpp cannot keep them so.
pub fn divergence_with_cache(model: &Path, base: &Path, cache: &str) -> Result<Divergence, JudgeError> {
    ask(judge("divergence").arg(model).arg(base).args(["--cache-type", cache]), &())
}

/// What llama-quantize is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantize<'a> {
    /// Type of the file, as `Q4_K_M`.
    pub file_type: &'a str,
    /// Take an already quantized source.
    pub allow_requantize: bool,
    /// One type for all tensors: no mixtures.
    pub pure: bool,
    /// Type of the output projection, as `q6_K`.
    pub output_tensor_type: Option<&'a str>,
    /// Type of the token embedding.
    pub token_embedding_type: Option<&'a str>,
    /// Patterns of tensor names, and the type of those tensors.
    pub tensor_types: &'a [(&'a str, &'a str)],
    /// A file of importance matrices.
    pub imatrix: Option<&'a Path>,
}

/// Writes a model as llama-quantize would.
///
/// # Errors
/// [`JudgeError::Refused`] when llama.cpp does not quantize it so.
pub fn quantize(source: &Path, target: &Path, how: Quantize) -> Result<(), JudgeError> {
    let mut command = judge("quantize");
    command.arg(source).arg(target).arg(how.file_type);
    command.args(how.allow_requantize.then_some("--allow-requantize")).args(how.pure.then_some("--pure"));
    if let Some(name) = how.output_tensor_type {
        command.arg("--output-tensor-type").arg(name);
    }
    if let Some(name) = how.token_embedding_type {
        command.arg("--token-embedding-type").arg(name);
    }
    for (pattern, name) in how.tensor_types {
        command.arg("--tensor-type").arg(format!("{pattern}={name}"));
    }
    if let Some(imatrix) = how.imatrix {
        command.arg("--imatrix").arg(imatrix);
    }
    ask::<serde_json::Value>(&mut command, &()).map(drop)
}

/// An importance matrix as llama-quantize reads it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReadImatrix {
    /// Mean squares of what each tensor reads.
    pub entries: BTreeMap<String, Vec<f32>>,
    /// Number of sequences that it was made of.
    pub chunks: u32,
}

/// Reads a file by llama.cpp's own reader.
///
/// # Errors
/// [`JudgeError::Refused`] when llama-quantize would not take it.
pub fn read_imatrix(file: &Path) -> Result<ReadImatrix, JudgeError> {
    ask(judge("read-imatrix").arg(file), &())
}

/// What passes some matrices of a model in llama.cpp, averaged by numpy.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of each matrix `E[x xᵀ]`, `[width, width]`, and `E[x]`, `[width]`.
    pub inputs: Vec<(Vec<f32>, Vec<f32>)>,
    /// 1 less the mean cosine of hidden states before and after each layer but the first.
    pub block_influence: Vec<f64>,
}

/// Takes sequences through a model and watches what the matrices of these GGUF names read.
///
/// # Errors
/// When the model does not load or compute, or has no such matrix.
pub fn moments(model: &Path, sequences: &[Vec<u32>], matrices: &[&str]) -> Result<Moments, JudgeError> {
    #[derive(Serialize)]
    struct Question<'a> {
        sequences: &'a [Vec<u32>],
        matrices: &'a [&'a str],
    }
    #[derive(Deserialize)]
    struct Answer {
        widths: Vec<usize>,
        block_influence: Vec<f64>,
    }
    let out = tempfile::NamedTempFile::new()?;
    let Answer { widths, block_influence } =
        ask(judge("moments").arg(model).arg(out.path()), &Question { sequences, matrices })?;
    let bytes = fs::read(out.path())?;
    let mut numbers = bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
    let mut next = |count| numbers.by_ref().take(count).collect::<Vec<f32>>();
    let inputs = widths.into_iter().map(|width| (next(width * width), next(width))).collect();
    Ok(Moments { inputs, block_influence })
}

fn judge(question: &str) -> Command {
    let mut command = Command::new(fixture("venv/bin/python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/judge/judge.py"));
    command.arg("--llama").arg(fixture("llama.cpp")).arg(question);
    command
}

/// Runs the judge with `input` as JSON on its standard input, and reads its answer.
fn ask<Answer: DeserializeOwned>(
    command: &mut Command,
    input: &impl Serialize,
) -> Result<Answer, JudgeError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let input = serde_json::to_vec(input)?;
    let _alone = BENCH.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    // written beside the reading: a judge that answers early must not leave both sides waiting; and one
    // that asks for no input may have closed its end, which its answer tells better than a write error
    let writer = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let output = child.wait_with_output()?;
    drop(writer.join());
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout)?),
        Some(1) if !output.stdout.is_empty() => {
            Err(JudgeError::Refused(serde_json::from_slice::<Refusal>(&output.stdout)?.error))
        }
        _ => Err(JudgeError::Died {
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

fn rows(question: &str, model: &Path, prompts: &[Prompt]) -> Result<Rows, JudgeError> {
    #[derive(Deserialize)]
    struct Shape {
        columns: usize,
    }
    let out = tempfile::NamedTempFile::new()?;
    let shape: Shape = ask(judge(question).arg(model).arg(out.path()), &prompts)?;
    let bytes = fs::read(out.path())?;
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(Rows {
        columns: shape.columns,
        values: numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    })
}
