//! The run that makes statistics: layer by layer, from where an earlier run has stopped.

use std::path::PathBuf;

use secateur_model::Checkpoint;

use super::collector::Collector;
use super::store::{Files, Store, Subject};
use super::{Moments, Place, Statistics, StatisticsError, fingerprint};
use crate::forward::{Forward, ForwardError, NoTaps, Residency, TokenRows};
use crate::progress::Progress;

/// What a run has made or found.
#[derive(Debug)]
pub struct Calibration {
    /// The statistics, whole.
    pub statistics: Statistics,
    /// Layers that an earlier run had finished.
    pub reused_layers: usize,
    /// Files of an earlier run that were not as it had written them, and were made again.
    pub damaged: Vec<PathBuf>,
}

/// Takes sequences of tokens through the model and keeps what is seen; what an earlier run has kept is used. The bytes on disk depend
/// on nothing but model, sequences and version.
///
/// Memory holds one layer's weights and its sums, 8 bytes for each pair of features of an input, up to 256 MiB of hidden states (more than these go to a file),
/// and what six texts have inside the layer.
///
/// # Errors
/// [`StatisticsError`]; what was finished stays, and the next run goes on from there.
pub fn calibrate(
    checkpoint: &Checkpoint,
    sequences: &[Vec<u32>],
    place: &Place,
    progress: &dyn Progress,
) -> Result<Calibration, StatisticsError> {
    if sequences.iter().all(Vec::is_empty) {
        return Err(StatisticsError::NoSequences);
    }
    let model = fingerprint::of_model(checkpoint, progress)?;
    let subject = Subject::new(model, checkpoint.spec.layers.len(), sequences);
    let store = Store::begin(place, &subject, progress)?;
    let work = Work::left(&store.files, subject.layers)?;
    let reused_layers = subject.layers - work.layers.len();
    if !work.is_done() {
        work.run(checkpoint, &subject, &store, progress)?;
    }
    store.remove_hidden()?;
    let statistics = Statistics::check(subject, store.files.clone(), checkpoint)?;
    Ok(Calibration { statistics, reused_layers, damaged: work.damaged })
}

/// What is left to do.
struct Work {
    /// In rising order.
    layers: Vec<usize>,
    output: bool,
    damaged: Vec<PathBuf>,
}

impl Work {
    fn left(files: &Files, layers: usize) -> Result<Self, StatisticsError> {
        let mut damaged = Vec::new();
        let mut is_left = |found: Result<bool, StatisticsError>| match found {
            Ok(is_there) => Ok(!is_there),
            Err(StatisticsError::Damaged { path, .. }) => {
                damaged.push(path);
                Ok(true)
            }
            Err(error) => Err(error),
        };
        let mut left = Vec::new();
        for layer in 0..layers {
            if is_left(files.layer(layer).map(|layer| layer.is_some()))? {
                left.push(layer);
            }
        }
        let output = is_left(files.output().map(|output| output.is_some()))?;
        Ok(Self { layers: left, output, damaged })
    }

    fn is_done(&self) -> bool {
        self.layers.is_empty() && !self.output
    }

    fn run(
        &self,
        checkpoint: &Checkpoint,
        subject: &Subject,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<(), StatisticsError> {
        let forward = Forward::new(checkpoint, Residency::Stream)?;
        let lengths = subject.sequences.iter().map(Vec::len);
        let mut texts = TokenRows::new(lengths, forward.spec().hidden_size, &store.files.folder)?;
        let first = match store.hidden(&mut texts) {
            Some(next) if self.layers.first().is_none_or(|&layer| next <= layer) => next,
            _ => {
                embed(&forward, &subject.sequences, &mut texts)?;
                0
            }
        };
        let end = match self.layers.last() {
            Some(last) if !self.output => last + 1,
            _ => subject.layers,
        };
        progress.begin_tokens("calibrating", subject.tokens() as u64, (end - first) as u64);
        for layer in first..end {
            if self.layers.contains(&layer) {
                let mut collector = Collector::new(&forward.spec().layers[layer], forward.spec().hidden_size);
                forward.run_layer_of_rows(layer, &mut texts, &mut collector, progress)?;
                collector.check().map_err(ForwardError::from)?;
                store.files.write_layer(layer, collector)?;
            } else {
                forward.run_layer_of_rows(layer, &mut texts, &mut NoTaps, progress)?;
            }
            if layer + 1 < end {
                store.write_hidden(layer + 1, &mut texts)?;
            }
        }
        if self.output {
            let mut moments = Moments::new(forward.spec().hidden_size);
            for text in 0..texts.texts() {
                let text = texts.hidden(text)?;
                moments.add(&forward.output_input(&text, 0..text.tokens())).map_err(ForwardError::from)?;
            }
            store.files.write_output(&moments)?;
        }
        Ok(())
    }
}

/// The hidden states before the first layer.
fn embed(forward: &Forward, sequences: &[Vec<u32>], texts: &mut TokenRows) -> Result<(), StatisticsError> {
    for (text, sequence) in sequences.iter().enumerate() {
        texts.put(text, forward.embed(sequence)?.values())?;
    }
    Ok(())
}
