//! Finished statistics, read a layer at a time.

use std::collections::BTreeMap;
use std::path::Path;

use secateur_model::{Checkpoint, Role, TensorId};

use super::store::{Files, Subject};
use super::{InputMoments, StatisticsError, fingerprint};
use crate::forward::Site;
use crate::progress::Progress;
use crate::solve::judges;

/// What was seen while the calibration text passed a model. It lies on disk; each call reads one layer.
#[derive(Debug, Clone)]
pub struct Statistics {
    subject: Subject,
    files: Files,
    block_influence: Vec<f64>,
    vocabulary_size: usize,
    tied_embeddings: bool,
}

/// What was seen in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStatistics {
    pub(super) sites: BTreeMap<Site, InputMoments>,
    pub(super) block_influence: f64,
}

impl LayerStatistics {
    /// What the linear layers of a site read; `None` if the layer has no such site.
    pub fn site(&self, site: Site) -> Option<&InputMoments> {
        self.sites.get(&site)
    }

    /// All sites that the layer has.
    pub fn sites(&self) -> impl Iterator<Item = (Site, &InputMoments)> {
        self.sites.iter().map(|(&site, moments)| (site, moments))
    }

    /// How much the layer turns the hidden states: 1 less the mean cosine between a token's state before and after it.
    pub fn block_influence(&self) -> f64 {
        self.block_influence
    }
}

impl Statistics {
    /// Opens a folder and checks that its statistics are whole and of this model.
    ///
    /// # Errors
    /// If they are not.
    pub fn open(
        folder: &Path,
        checkpoint: &Checkpoint,
        progress: &dyn Progress,
    ) -> Result<Self, StatisticsError> {
        let missing = || StatisticsError::Missing { path: folder.to_owned() };
        let subject = Subject::read(folder)?.ok_or_else(missing)?;
        if subject.model != fingerprint::of_model(checkpoint, progress)? {
            return Err(StatisticsError::OtherStatistics { path: folder.to_owned(), of: "another model" });
        }
        let files = Files::new(folder.to_owned(), &subject);
        Self::check(subject, files, checkpoint)
    }

    /// Reads every file once.
    pub(super) fn check(
        subject: Subject,
        files: Files,
        checkpoint: &Checkpoint,
    ) -> Result<Self, StatisticsError> {
        let mut block_influence = Vec::with_capacity(subject.layers);
        for layer in 0..subject.layers {
            let missing = || StatisticsError::Missing { path: files.layer_path(layer) };
            block_influence.push(files.layer(layer)?.ok_or_else(missing)?.block_influence);
        }
        files.output()?.ok_or_else(|| StatisticsError::Missing { path: files.output_path() })?;
        let spec = &checkpoint.spec;
        Ok(Self {
            subject,
            files,
            block_influence,
            vocabulary_size: spec.vocabulary_size,
            tied_embeddings: spec.tied_embeddings,
        })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.files.folder
    }

    /// SHA-256 of all that they depend on: model, text, lengths, version.
    pub fn fingerprint(&self) -> String {
        self.subject.fingerprint()
    }

    /// The tokens that passed, sequence by sequence.
    pub fn sequences(&self) -> &[Vec<u32>] {
        &self.subject.sequences
    }

    /// Up to `count` of the sequences, from all over the text.
    pub fn spread(&self, count: usize) -> Vec<Vec<u32>> {
        let sequences = self.sequences();
        let count = count.min(sequences.len());
        (0..count).map(|index| sequences[index * sequences.len() / count].clone()).collect()
    }

    /// The sequences that no matrix is solved on: they judge what is solved on the others.
    pub fn judging(&self) -> impl Iterator<Item = &[u32]> {
        let judging = self.sequences().iter().enumerate().filter(|(index, _)| judges(*index));
        judging.map(|(_, sequence)| sequence.as_slice())
    }

    /// The other sequences.
    pub fn solving(&self) -> impl Iterator<Item = &[u32]> {
        let solving = self.sequences().iter().enumerate().filter(|(index, _)| !judges(*index));
        solving.map(|(_, sequence)| sequence.as_slice())
    }

    /// Up to about `tokens` tokens of whole sequences, at least one, from all over the text.
    pub fn spread_tokens(&self, tokens: usize) -> Vec<Vec<u32>> {
        let length = self.sequences().first().map_or(1, Vec::len).max(1);
        self.spread((tokens / length).max(1))
    }

    /// How many tokens passed.
    pub fn tokens(&self) -> usize {
        self.subject.tokens()
    }

    /// How often each token of the vocabulary passed, `[vocabulary]`.
    pub fn token_counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.vocabulary_size];
        for &token in self.subject.sequences.iter().flatten() {
            if let Some(count) = counts.get_mut(token as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// How much each layer turns the hidden states, `[layers]`: 1 less the mean cosine between a token's state before and after it.
    pub fn block_influence(&self) -> &[f64] {
        &self.block_influence
    }

    /// Reads what was seen in a layer.
    ///
    /// # Errors
    /// If its file was damaged or removed since it was opened.
    pub fn layer(&self, layer: usize) -> Result<LayerStatistics, StatisticsError> {
        let missing = || StatisticsError::Missing { path: self.files.layer_path(layer) };
        self.files.layer(layer)?.ok_or_else(missing)
    }

    /// Reads what the output matrix reads: hidden states after the last norm.
    ///
    /// # Errors
    /// As [`layer`](Self::layer).
    pub fn output(&self) -> Result<InputMoments, StatisticsError> {
        self.files.output()?.ok_or_else(|| StatisticsError::Missing { path: self.files.output_path() })
    }

    /// Reads what a matrix reads; `None` for tensors that are no matrix, and for a token embedding that is only looked up. Whoever goes
    /// through all matrices of a layer should read [`layer`](Self::layer) once instead.
    ///
    /// # Errors
    /// As [`layer`](Self::layer).
    pub fn input_of(&self, id: TensorId) -> Result<Option<InputMoments>, StatisticsError> {
        match (id.layer, Site::of(id.role)) {
            (Some(layer), Some(site)) => Ok(self.layer(layer)?.sites.remove(&site)),
            (None, None) if id.role == Role::Output => self.output().map(Some),
            (None, None) if id.role == Role::TokenEmbedding && self.tied_embeddings => {
                self.output().map(Some)
            }
            _ => Ok(None),
        }
    }
}
