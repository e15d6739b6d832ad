//! `secateur calibrate`

use std::time::Instant;

use secateur_compress::forward::Site;
use secateur_compress::statistics::{
    self, BUILT_IN_NAME, Imatrix, Place, Statistics, StatisticsError, calibration_tokens, texts_or_built_in,
};
use secateur_compress::{CompressError, peak_memory};
use secateur_model::Checkpoint;
use secateur_model::atomic_file::AtomicFile;
use secateur_reports::calibration::{CalibratedLayer, Calibration};

use crate::arguments::CalibrateArguments;
use crate::cache;
use crate::console::Console;
use crate::exit::Exit;
use crate::model_argument;

/// Makes statistics, or finds them made.
pub fn run(arguments: &CalibrateArguments, console: &Console) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let checkpoint = model_argument::open(&arguments.model, console)?;
    let sequences = sequences(arguments, &checkpoint).map_err(CompressError::from)?;
    let place = match &arguments.out {
        Some(folder) => Place::Folder(folder.clone()),
        None => Place::Cache(cache::folder()?),
    };
    if let Some(path) = &arguments.imatrix {
        // a path that cannot be written should be known before the long run
        drop(AtomicFile::create(path)?);
    }
    let progress = console.progress();
    let calibration =
        statistics::calibrate(&checkpoint, &sequences, &place, &progress).map_err(CompressError::from)?;
    drop(progress);
    let names = text_names(arguments);
    if let Some(path) = &arguments.imatrix {
        let imatrix = Imatrix::of(&calibration.statistics, &checkpoint, names.clone());
        imatrix.and_then(|imatrix| imatrix.write(path)).map_err(CompressError::from)?;
    }
    let record = record(arguments, &checkpoint, &calibration, names, started);
    console.result(&record, &[record.table()])?;
    for note in record.notes() {
        console.note(&note);
    }
    Ok(Exit::Done)
}

fn sequences(
    arguments: &CalibrateArguments,
    checkpoint: &Checkpoint,
) -> Result<Vec<Vec<u32>>, StatisticsError> {
    let no_tokenizer = || StatisticsError::NoTokenizer { path: checkpoint.source.clone() };
    let tokenizer = checkpoint.tokenizer.as_ref().ok_or_else(no_tokenizer)?;
    let texts = texts_or_built_in(&arguments.texts)?;
    let sequences = calibration_tokens(tokenizer, &checkpoint.spec, &texts, arguments.tokens)?;
    Ok(sequences.into_iter().map(|sequence| sequence.tokens).collect())
}

fn text_names(arguments: &CalibrateArguments) -> Vec<String> {
    if arguments.texts.is_empty() {
        return vec![BUILT_IN_NAME.to_owned()];
    }
    arguments.texts.iter().map(|path| path.display().to_string()).collect()
}

fn record(
    arguments: &CalibrateArguments,
    checkpoint: &Checkpoint,
    calibration: &statistics::Calibration,
    texts: Vec<String>,
    started: Instant,
) -> Calibration {
    let statistics = &calibration.statistics;
    let counts = statistics.token_counts();
    let made_layers = checkpoint.spec.layers.len() - calibration.reused_layers;
    let seconds = started.elapsed().as_secs_f64();
    Calibration {
        schema: 1,
        model: checkpoint.name(),
        texts,
        folder: statistics.folder().display().to_string(),
        fingerprint: statistics.fingerprint(),
        sequences: statistics.sequences().len(),
        tokens: statistics.tokens(),
        distinct_tokens: counts.iter().filter(|&&count| count > 0).count(),
        vocabulary_size: counts.len(),
        layers: layers(checkpoint, statistics),
        reused_layers: calibration.reused_layers,
        damaged: calibration.damaged.iter().map(|path| path.display().to_string()).collect(),
        imatrix: arguments.imatrix.as_ref().map(|path| path.display().to_string()),
        seconds,
        tokens_per_second: (calibration.reused_layers == 0 && made_layers > 0)
            .then(|| statistics.tokens() as f64 / seconds),
        peak_memory: peak_memory(),
    }
}

fn layers(checkpoint: &Checkpoint, statistics: &Statistics) -> Vec<CalibratedLayer> {
    let layers = checkpoint.spec.layers.iter().zip(statistics.block_influence()).enumerate();
    let layer = |(index, (spec, &block_influence))| {
        let widths = Site::widths(spec, checkpoint.spec.hidden_size);
        let width_of =
            |wanted: Site| widths.iter().find(|(site, _)| *site == wanted).map(|&(_, width)| width);
        CalibratedLayer {
            layer: index,
            attention_input: width_of(Site::AttentionInput),
            attention_output: width_of(Site::AttentionOutput),
            ffn_input: width_of(Site::FfnInput),
            ffn_down: width_of(Site::FfnDown),
            block_influence,
        }
    };
    layers.map(layer).collect()
}
