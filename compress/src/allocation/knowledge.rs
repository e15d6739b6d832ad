//! What is known of a model before types are chosen, made once and kept beside the statistics.

use secateur_model::{Checkpoint, Role, TensorId};
use serde::{Deserialize, Serialize};

use super::MatrixOptions;
use super::damage::{options_of_layer, options_of_vocabulary, vocabulary_second};
use crate::CompressError;
use crate::gradient::{LayerFactors, for_each_layer};
use crate::progress::Progress;
use crate::shape::{ChannelOrders, channel_order};
use crate::statistics::{Statistics, keep, read_kept};

/// Tokens of the backward pass; mean squares of gradients need fewer than second moments of inputs.
const GRADIENT_TOKENS: usize = 4096;

/// The version of what is kept.
const SCHEMA: u32 = 2;

/// What each matrix would lose in each type, and what errors in the vocabulary's rows are weighed by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// The version of this record: 2.
    schema: u32,
    /// Of the statistics.
    calibration: String,
    /// Of the labels that gradients start from.
    pub seed: u64,
    /// The options of every matrix.
    pub options: Vec<MatrixOptions>,
    /// Of the token embedding and the output matrix, `[hidden, hidden]`.
    vocabulary: Vec<(Role, Vec<f32>)>,
    /// In which order channels should go.
    pub channels: ChannelOrders,
}

impl Knowledge {
    /// Finds what an earlier run has kept with the statistics, or makes it: one backward pass over 4,096 tokens, a sample of every
    /// matrix rounded to every type, and the order of such a share of each layer's channels at least.
    ///
    /// # Errors
    /// If something cannot be read or written, is not finite, or the user interrupts.
    pub fn of(
        checkpoint: &Checkpoint,
        statistics: &Statistics,
        seed: u64,
        channels: f64,
        progress: &dyn Progress,
    ) -> Result<Self, CompressError> {
        let path = statistics.folder().join(format!("knowledge-{seed}.json"));
        let calibration = statistics.fingerprint();
        let kept: Option<Self> = read_kept(&path);
        let is_enough = |known: &Self| {
            known.schema == SCHEMA
                && known.calibration == calibration
                && known.seed == seed
                && known.channels.share >= channels
        };
        if let Some(known) = kept.filter(is_enough) {
            return Ok(known);
        }
        let texts = statistics.spread_tokens(GRADIENT_TOKENS);
        let mut of_layers = Vec::new();
        let mut orders = Vec::new();
        let most = |width: usize| (channels * width as f64).round() as usize;
        let mut work = |layer: usize, factors: &LayerFactors| {
            of_layers.push(options_of_layer(checkpoint, statistics, layer, factors)?);
            orders.push(channel_order(checkpoint, statistics, layer, factors, &most)?);
            Ok(())
        };
        let factors = for_each_layer(checkpoint, &texts, seed, &mut work, progress)?;
        let mut options = options_of_vocabulary(checkpoint, statistics, &factors)?;
        // they came from the last layer to the first
        options.extend(of_layers.into_iter().rev().flatten());
        orders.reverse();
        let roles = [Role::TokenEmbedding, Role::Output].into_iter();
        let roles = roles.filter(|&role| checkpoint.spec.shape(TensorId::global(role)).is_some());
        let knowledge = Self {
            schema: SCHEMA,
            calibration,
            seed,
            options,
            vocabulary: roles.map(|role| (role, vocabulary_second(checkpoint, &factors, role))).collect(),
            channels: ChannelOrders { share: channels, layers: orders },
        };
        keep(&path, &knowledge)?;
        Ok(knowledge)
    }

    /// What errors in the rows of the token embedding or the output matrix are weighed by, `[hidden, hidden]`.
    pub fn vocabulary_second(&self, role: Role) -> Vec<f32> {
        let of_role = self.vocabulary.iter().find(|(known, _)| *known == role);
        of_role.map(|(_, second)| second.clone()).unwrap_or_default()
    }

    /// The diagonal of the same, `[hidden]`; empty if there is no such matrix.
    pub fn vocabulary_diagonal(&self, role: Role) -> Vec<f32> {
        let second = self.vocabulary_second(role);
        let width = (second.len() as f64).sqrt() as usize;
        second.iter().step_by(width + 1).copied().collect()
    }
}
