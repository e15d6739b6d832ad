//! `secateur eval`

mod input;
mod record;

use std::path::Path;
use std::time::Instant;

use secateur_compress::forward::{Forward, Residency};
use secateur_compress::measure::{
    self, Alignment, BaseReader, BaseWriter, CONTEXT, Chunks, Comparison, Parent, Scores,
};
use secateur_compress::peak_memory;
use secateur_model::{CacheType, Checkpoint};
use secateur_reports::evaluation::Evaluation;

use crate::arguments::EvalArguments;
use crate::commands::pass_until;
use crate::console::{Bar, Console};
use crate::exit::Exit;
use crate::model_argument;

pub use input::{EvalError, Text, tokenizer_of};

/// Weights as `f32` that stay in memory for speed; larger models are read anew for each group of chunks.
const KEPT_BYTES: u64 = 600 << 20;

/// Measures a model on every text, or on tasks.
pub fn run(arguments: &EvalArguments, seed: u64, console: &Console) -> anyhow::Result<Exit> {
    match &arguments.pass_until {
        Some(file) => {
            let checkpoint = model_argument::open(&arguments.model, console)?;
            pass_until::run(arguments, file, seed, &checkpoint, console)?;
        }
        None => run_texts(arguments, console)?,
    }
    Ok(Exit::Done)
}

fn run_texts(arguments: &EvalArguments, console: &Console) -> anyhow::Result<()> {
    let files = input::read_all(&arguments.text)?;
    if files.len() > 1 && (arguments.base.is_some() || arguments.save_base.is_some()) {
        return Err(EvalError::OneTextPerBase { texts: files.len() }.into());
    }
    let child = model_argument::open(&arguments.model, console)?;
    let parent =
        arguments.against.as_deref().map(|parent| model_argument::open(parent, console)).transpose()?;
    let base = arguments.base.as_deref().map(BaseReader::open).transpose()?;
    let texts = match &base {
        Some(base) => vec![text_of_base(arguments, files.into_iter().next(), &child, base)?],
        None => cut_all(&files, &child, parent.as_ref(), (arguments.context, arguments.chunks))?,
    };

    let residency = residency_of([Some(&child), parent.as_ref()].into_iter().flatten());
    let cache = arguments.cache_type.map_or(CacheType::F32, CacheType::from);
    let child = Forward::new(&child, residency)?.with_cache(cache)?;
    let parent = parent.as_ref().map(|parent| Forward::new(parent, residency)).transpose()?;
    let evaluation = measure_all(arguments, &texts, &child, parent.as_ref(), base, &console.progress())?;
    console.result(&evaluation, &evaluation.tables())?;
    for note in evaluation.notes() {
        console.note(&note);
    }
    Ok(())
}

fn measure_all(
    arguments: &EvalArguments,
    texts: &[Text],
    child: &Forward,
    parent: Option<&Forward>,
    mut base: Option<BaseReader>,
    progress: &Bar,
) -> anyhow::Result<Evaluation> {
    let context = texts.first().map_or(0, |text| text.chunks.context());
    let mut evaluation = record::begin(arguments, context);
    let started = Instant::now();
    let mut tokens = 0;
    for text in texts {
        let against = parent.map(Parent::Model).or_else(|| base.take().map(Parent::Stored));
        tokens += text.chunks.tokens().count() * if parent.is_some() { 2 } else { 1 };
        let writer = writer(arguments, text, parent.unwrap_or(child))?;
        match measure(child, against, text, writer, progress)? {
            Measured::Alone(scores) => record::add_scores(&mut evaluation, text, &scores),
            Measured::Beside(comparison) => record::add_comparison(&mut evaluation, text, &comparison),
        }
    }
    evaluation.seconds = started.elapsed().as_secs_f64();
    evaluation.tokens_per_second = tokens as f64 / evaluation.seconds;
    evaluation.peak_memory = peak_memory();
    Ok(evaluation)
}

/// What a text says about a model.
pub enum Measured {
    /// How well it predicts the text.
    Alone(Scores),
    /// That, and how far it is from a parent.
    Beside(Comparison),
}

/// Measures a model on one text, beside its parent if there is one. At most so many `chunks`.
pub fn measure_on(
    file: &Path,
    chunks: Option<usize>,
    child: &Checkpoint,
    parent: Option<&Checkpoint>,
    progress: &Bar,
) -> anyhow::Result<(Text, Measured)> {
    let files = input::read_all(&[file.to_owned()])?;
    let text = cut(&files[0], child, parent, (None, chunks))?;
    let residency = residency_of([Some(child), parent].into_iter().flatten());
    let child = Forward::new(child, residency)?;
    let parent = parent.map(|parent| Forward::new(parent, residency)).transpose()?;
    let measured = measure(&child, parent.as_ref().map(Parent::Model), &text, None, progress)?;
    Ok((text, measured))
}

fn measure(
    child: &Forward,
    parent: Option<Parent>,
    text: &Text,
    mut writer: Option<BaseWriter>,
    progress: &Bar,
) -> anyhow::Result<Measured> {
    let (chunks, base) = (&text.chunks, writer.as_mut());
    let measured = match (parent, &text.alignment) {
        (None, _) => Measured::Alone(measure::perplexity(child, chunks, base, progress)?),
        (Some(Parent::Model(parent)), Some(alignment)) => Measured::Beside(measure::divergence_of_aligned(
            parent, child, chunks, alignment, base, progress,
        )?),
        (Some(parent), _) => Measured::Beside(measure::divergence(parent, child, chunks, base, progress)?),
    };
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(measured)
}

fn writer(arguments: &EvalArguments, text: &Text, speaker: &Forward) -> anyhow::Result<Option<BaseWriter>> {
    let Some(path) = &arguments.save_base else { return Ok(None) };
    Ok(Some(BaseWriter::create(path, &text.chunks, speaker.spec().vocabulary_size)?))
}

/// Context and number of chunks, where the user says.
type Cut = (Option<usize>, Option<usize>);

/// Every text in chunks.
fn cut_all(
    files: &[(String, String)],
    child: &Checkpoint,
    parent: Option<&Checkpoint>,
    asked: Cut,
) -> anyhow::Result<Vec<Text>> {
    files.iter().map(|file| cut(file, child, parent, asked)).collect()
}

/// A text in chunks, by the tokens of the parent if there is one.
fn cut(
    (name, content): &(String, String),
    child: &Checkpoint,
    parent: Option<&Checkpoint>,
    (context, limit): Cut,
) -> anyhow::Result<Text> {
    let speaker = parent.unwrap_or(child);
    let (tokenizer, of_child) = (tokenizer_of(speaker)?, tokenizer_of(child)?);
    let differs = parent.is_some() && !Alignment::is_needless(tokenizer, of_child);
    let context = context.unwrap_or_else(|| CONTEXT.min(speaker.spec.context_length.max(4)));
    let wrong = |source| EvalError::text(name, source);
    let chunks = Chunks::of_text(tokenizer, content, context, limit).map_err(wrong)?;
    let align = || Alignment::new(tokenizer, of_child, content, &chunks);
    let alignment = differs.then(align).transpose().map_err(wrong)?;
    Ok(Text { name: name.clone(), chunks, alignment })
}

/// The text that a base file was written for: the file's own, or the one given, which must be the same.
fn text_of_base(
    arguments: &EvalArguments,
    file: Option<(String, String)>,
    checkpoint: &Checkpoint,
    base: &BaseReader,
) -> anyhow::Result<Text> {
    let tokenizer = tokenizer_of(checkpoint)?;
    let context = arguments.context.unwrap_or(base.context());
    let limit = Some(arguments.chunks.unwrap_or(base.len()));
    let (name, chunks) = match file {
        Some((name, content)) => {
            let chunks = Chunks::of_text(tokenizer, &content, context, limit)
                .map_err(|source| EvalError::text(&name, source))?;
            (name, chunks)
        }
        None => ("the base's own".to_owned(), base.chunks(tokenizer, limit)?),
    };
    base.check(&chunks, checkpoint.spec.vocabulary_size)?;
    Ok(Text { name, chunks, alignment: None })
}

/// Whether all weights fit.
fn residency_of<'a>(checkpoints: impl Iterator<Item = &'a Checkpoint>) -> Residency {
    let bytes: u64 = checkpoints.map(|checkpoint| 4 * checkpoint.spec.parameter_count()).sum();
    if bytes <= KEPT_BYTES { Residency::Keep } else { Residency::Stream }
}
