//! The forward pass against transformers' logits, and against itself.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use safetensors::SafeTensors;
use secateur_compress::forward::{Forward, ForwardError, Hidden, NoTaps, Residency, Site, Taps};
use secateur_compress::progress::{Progress, Silent};
use secateur_model::{Checkpoint, Role, TensorId};

const MODELS: [&str; 6] = ["llama", "llama-tied-rope-scaled", "mistral-window", "qwen2", "qwen3", "gemma3"];

/// Tokens of the long golden text between those whose logits are kept.
const LONG_STEP: usize = 40;

struct Golden {
    checkpoint: Checkpoint,
    /// Two texts.
    texts: Vec<Vec<u32>>,
    /// `[texts, tokens, vocabulary]`
    logits: Vec<f32>,
    /// A text longer than a chunk of the pass, so that attention looks back into an earlier chunk.
    long_text: Vec<u32>,
    /// `[tokens / LONG_STEP, vocabulary]`
    long_logits: Vec<f32>,
}

fn golden(name: &str) -> Golden {
    let folder = folder(name);
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| -> Vec<u32> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as u32).collect()
    };
    let numbers = |name: &str| -> Vec<f32> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    Golden {
        checkpoint: Checkpoint::open(&folder).unwrap(),
        texts: ids("input_ids").chunks(24).map(<[u32]>::to_vec).collect(),
        logits: numbers("logits"),
        long_text: ids("long_ids"),
        long_logits: numbers("long_logits"),
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models").join(name)
}

fn run(forward: &Forward, texts: &[Vec<u32>], taps: &mut dyn Taps) -> Vec<Hidden> {
    let mut hidden: Vec<Hidden> = texts.iter().map(|text| forward.embed(text).unwrap()).collect();
    forward.run_layers(&mut hidden, taps, &Silent).unwrap();
    hidden
}

/// `[texts, tokens, vocabulary]`, computed `tile_tokens` at a time.
fn logits(forward: &Forward, texts: &[Vec<u32>], tile_tokens: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for hidden in run(forward, texts, &mut NoTaps) {
        let collect = |_: usize, logits: &[f32]| all.extend_from_slice(logits);
        forward.for_each_logits(&hidden, 0..hidden.tokens(), tile_tokens, collect).unwrap();
    }
    all
}

fn greatest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_transformers() {
    for name in MODELS {
        let golden = golden(name);
        let forward = Forward::new(&golden.checkpoint, Residency::Stream).unwrap();
        let difference = greatest_difference(&logits(&forward, &golden.texts, 7), &golden.logits);
        assert!(difference <= 1e-4, "{name} differs by {difference:e}");
    }
}

#[test]
fn logits_of_a_text_longer_than_a_chunk_are_those_of_transformers() {
    for name in MODELS {
        let golden = golden(name);
        let forward = Forward::new(&golden.checkpoint, Residency::Stream).unwrap();
        let all = logits(&forward, &[golden.long_text], 256);
        let rows = all.chunks(forward.spec().vocabulary_size).step_by(LONG_STEP);
        let difference =
            greatest_difference(&rows.flatten().copied().collect::<Vec<_>>(), &golden.long_logits);
        assert!(difference <= 1e-4, "{name} differs by {difference:e}");
    }
}

#[test]
fn streamed_and_kept_weights_give_the_same_bits() {
    for name in MODELS {
        let Golden { checkpoint, mut texts, long_text, .. } = golden(name);
        texts.push(long_text);
        let streamed = Forward::new(&checkpoint, Residency::Stream).unwrap();
        let kept = Forward::new(&checkpoint, Residency::Keep).unwrap();
        assert!(logits(&streamed, &texts, 64) == logits(&kept, &texts, 64), "{name}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for name in MODELS {
        let Golden { checkpoint, long_text, .. } = golden(name);
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
                logits(&forward, std::slice::from_ref(&long_text), 64)
            })
        };
        let alone = with_threads(1);
        for threads in [2, 3, 5] {
            assert!(with_threads(threads) == alone, "{name} with {threads} threads");
        }
    }
}

/// Keeps all inputs of one matrix, and the hidden states around its layer.
struct Recorder {
    layer: usize,
    site: Site,
    inputs: Vec<f32>,
    before: Vec<f32>,
    after: Vec<f32>,
}

impl Taps for Recorder {
    fn input(&mut self, layer: usize, site: Site, input: &[f32]) {
        if (layer, site) == (self.layer, self.site) {
            self.inputs.extend_from_slice(input);
        }
    }

    fn before_layer(&mut self, layer: usize, hidden: &[f32]) {
        if layer == self.layer {
            self.before.extend_from_slice(hidden);
        }
    }

    fn after_layer(&mut self, layer: usize, hidden: &[f32]) {
        if layer == self.layer {
            self.after.extend_from_slice(hidden);
        }
    }
}

#[test]
fn what_the_last_matrix_reads_explains_what_its_layer_adds() {
    let Golden { checkpoint, texts, .. } = golden("llama");
    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let spec = forward.spec();
    let last = spec.layers.len() - 1;
    let record = |site| {
        let mut recorder = Recorder { layer: last, site, inputs: vec![], before: vec![], after: vec![] };
        let hidden = run(&forward, &texts, &mut recorder);
        let values: Vec<f32> = hidden.iter().flat_map(Hidden::values).copied().collect();
        assert_eq!(recorder.after, values);
        recorder
    };
    let update = |role| {
        let recorder = record(Site::of(role).unwrap());
        let weight = checkpoint.tensor(TensorId::in_layer(last, role)).unwrap();
        let mut weights = vec![0.0; weight.rows() * weight.row_len()];
        weight.read(0..weight.rows(), &mut weights).unwrap();
        let dot = |row: &[f32], input: &[f32]| row.iter().zip(input).map(|(x, y)| x * y).sum::<f32>();
        let of_input = |input| weights.chunks(weight.row_len()).map(move |row| dot(row, input));
        let updates: Vec<f32> = recorder.inputs.chunks(weight.row_len()).flat_map(of_input).collect();
        (updates, recorder)
    };
    let (by_attention, recorder) = update(Role::AttentionOutput);
    let (by_feed_forward, _) = update(Role::FfnDown);
    let sum = recorder.before.iter().zip(&by_attention).zip(&by_feed_forward).map(|((x, y), z)| x + y + z);
    let difference = greatest_difference(&sum.collect::<Vec<_>>(), &recorder.after);
    assert!(difference < 1e-4, "{difference:e}");

    // the query projection reads the normed input, as wide as the residual
    assert_eq!(record(Site::of(Role::AttentionQuery).unwrap()).inputs.len(), recorder.before.len());
    assert_eq!(Site::of(Role::AttentionNorm), None);
}

#[test]
fn numbers_that_are_not_finite_are_an_error_that_says_where() {
    let Golden { checkpoint, texts, .. } = golden("qwen2");
    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let mut hidden: Vec<Hidden> = texts.iter().map(|text| forward.embed(text).unwrap()).collect();
    let width = forward.spec().hidden_size;
    let mut values = hidden[1].values().to_vec();
    values[5 * width + 3] = f32::NAN;
    let damaged = Hidden::new(values, width);
    let error = forward.for_each_logits(&damaged, 2..9, 4, |_, _| ()).unwrap_err();
    assert!(matches!(error, ForwardError::LogitsNotFinite { token: 5 }), "{error}");

    hidden[1] = damaged;
    let error = forward.run_layers(&mut hidden, &mut NoTaps, &Silent).unwrap_err();
    assert!(matches!(error, ForwardError::NotFinite { layer: 0, text: 1 }), "{error}");
}

#[test]
fn unknown_tokens_are_refused() {
    let Golden { checkpoint, .. } = golden("llama");
    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let error = forward.embed(&[4, 256]).unwrap_err();
    assert!(matches!(error, ForwardError::UnknownToken { token: 256, vocabulary_size: 256 }), "{error}");
}

/// Stops once a layer is done.
#[derive(Default)]
struct Impatient {
    tokens: AtomicU64,
}

impl Progress for Impatient {
    fn begin(&self, _stage: &'static str, elements: u64) {
        assert_eq!(elements, 48 * 4, "two texts through four layers");
    }
    fn advance(&self, tokens: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
    }
    fn is_interrupted(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) >= 48
    }
}

#[test]
fn an_interruption_stops_between_chunks() {
    let Golden { checkpoint, texts, .. } = golden("llama");
    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let mut hidden: Vec<Hidden> = texts.iter().map(|text| forward.embed(text).unwrap()).collect();
    let impatient = Impatient::default();
    let error = forward.run_layers(&mut hidden, &mut NoTaps, &impatient).unwrap_err();
    assert!(matches!(error, ForwardError::Interrupted), "{error}");
    assert_eq!(impatient.tokens.into_inner(), 48);
}

#[test]
fn a_token_at_a_time_gives_the_logits_of_the_whole_text() {
    for name in MODELS {
        let golden = golden(name);
        let forward = Forward::new(&golden.checkpoint, Residency::Keep).unwrap();
        let vocabulary_size = forward.spec().vocabulary_size;
        let expected = golden.logits.chunks(24 * vocabulary_size);
        for (text, expected) in golden.texts.iter().zip(expected) {
            let prompt = forward.prompt(&text[..5], text.len()).unwrap();
            let row = |token: usize| &expected[token * vocabulary_size..][..vocabulary_size];
            assert!(greatest_difference(prompt.logits(), row(4)) <= 1e-4, "{name}");
            for texts in [1, 3] {
                let mut decoder = prompt.begin(&forward, texts + 1);
                decoder.retain(&[[false].as_slice(), &vec![true; texts]].concat());
                for token in 5..text.len() {
                    let logits = decoder.step(&vec![text[token]; texts]).unwrap();
                    for logits in logits.chunks(vocabulary_size) {
                        let difference = greatest_difference(logits, row(token));
                        assert!(difference <= 1e-4, "{name}, token {token}: {difference:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn texts_beside_each_other_do_not_mix() {
    let golden = golden("gemma3");
    let forward = Forward::new(&golden.checkpoint, Residency::Keep).unwrap();
    let prompt = forward.prompt(&golden.long_text[..560], 40).unwrap();
    let continuations: [&[u32]; 2] = [&golden.long_text[560..600], &golden.texts[0]];
    let mut decoder = prompt.begin(&forward, 2);
    let mut last = Vec::new();
    for step in 0..24 {
        last = decoder.step(&[continuations[0][step], continuations[1][step]]).unwrap();
    }
    let vocabulary_size = forward.spec().vocabulary_size;
    for (continuation, last) in continuations.iter().zip(last.chunks(vocabulary_size)) {
        let text = [&golden.long_text[..560], &continuation[..24]].concat();
        let all = logits(&forward, &[text], 256);
        let difference = greatest_difference(last, &all[all.len() - vocabulary_size..]);
        assert!(difference <= 1e-4, "{difference:e}");
    }
}
