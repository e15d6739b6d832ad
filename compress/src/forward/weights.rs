//! Reading the weights of a layer, dequantized.

use candle_core::Device;
use rayon::prelude::*;
use secateur_model::spec::{AttentionSpec, FeedForward, GatedSpec, Mixer};
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, ModelError, Role, TensorId};

use super::ForwardError;
use super::attention::Attention;
use super::feed_forward::{GatedFeedForward, Gating};
use super::layer::Layer;
use super::linear::Linear;
use super::norm::RmsNorm;

/// Numbers that one task dequantizes at least: enough to pay for its scheduling.
const TASK_ELEMENTS: usize = 64 << 10;

/// Reads the tensors of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerReader<'a> {
    pub checkpoint: &'a Checkpoint,
    pub layer: usize,
    pub device: &'a Device,
}

impl LayerReader<'_> {
    /// All that the layer has.
    pub fn read(self) -> Result<Layer, ForwardError> {
        let spec = &self.checkpoint.spec.layers[self.layer];
        let attention = match &spec.mixer {
            Mixer::Attention(attention) => Some(self.attention(attention, spec.post_norms)?),
            Mixer::None => None,
            _ => return Err(self.unsupported("mixer")),
        };
        let feed_forward = match &spec.feed_forward {
            FeedForward::Gated(gated) => Some(self.gated(gated, spec.post_norms)?),
            FeedForward::None => None,
            _ => return Err(self.unsupported("feed-forward part")),
        };
        Ok(Layer { index: self.layer, attention, feed_forward })
    }

    fn attention(self, spec: &AttentionSpec, post_norms: bool) -> Result<Attention, ForwardError> {
        use Role::{
            AttentionKey, AttentionKeyBias, AttentionKeyNorm, AttentionNorm, AttentionOutput,
            AttentionOutputBias, AttentionPostNorm, AttentionQuery, AttentionQueryBias, AttentionQueryNorm,
            AttentionValue, AttentionValueBias,
        };
        let qkv_biases = [AttentionQueryBias, AttentionKeyBias, AttentionValueBias];
        Ok(Attention {
            spec: spec.clone(),
            norm: self.norm(AttentionNorm)?,
            query_key_value: self.linear(
                &[AttentionQuery, AttentionKey, AttentionValue],
                spec.qkv_bias.then_some(&qkv_biases),
            )?,
            query_norm: spec.query_key_norm.then(|| self.norm(AttentionQueryNorm)).transpose()?,
            key_norm: spec.query_key_norm.then(|| self.norm(AttentionKeyNorm)).transpose()?,
            output: self.linear(&[AttentionOutput], spec.output_bias.then_some(&[AttentionOutputBias]))?,
            post_norm: post_norms.then(|| self.norm(AttentionPostNorm)).transpose()?,
        })
    }

    fn gated(self, spec: &GatedSpec, post_norms: bool) -> Result<GatedFeedForward, ForwardError> {
        use Role::{FfnDown, FfnDownBias, FfnGate, FfnGateBias, FfnNorm, FfnPostNorm, FfnUp, FfnUpBias};
        Ok(GatedFeedForward {
            norm: self.norm(FfnNorm)?,
            gate_up: self.linear(&[FfnGate, FfnUp], spec.bias.then_some(&[FfnGateBias, FfnUpBias]))?,
            down: self.linear(&[FfnDown], spec.bias.then_some(&[FfnDownBias]))?,
            post_norm: post_norms.then(|| self.norm(FfnPostNorm)).transpose()?,
            width: spec.width,
            gating: Gating::of(spec.activation).ok_or_else(|| self.unsupported("activation"))?,
        })
    }

    /// Several linear layers that read the same input, one above the other.
    fn linear<const N: usize>(
        self,
        weights: &[Role; N],
        biases: Option<&[Role; N]>,
    ) -> Result<Linear, ForwardError> {
        let rows = self.checkpoint.tensor(TensorId::in_layer(self.layer, weights[0]))?;
        let weight = self.stacked(weights)?;
        let bias = biases.map(|biases| self.stacked(biases)).transpose()?;
        Ok(Linear::new(weight, bias, rows.row_len(), self.device)?)
    }

    fn norm(self, role: Role) -> Result<RmsNorm, ForwardError> {
        Ok(RmsNorm { weight: self.stacked(&[role])?, epsilon: self.checkpoint.spec.norm_epsilon })
    }

    fn stacked(self, roles: &[Role]) -> Result<Vec<f32>, ForwardError> {
        let tensors = roles.iter().map(|&role| self.checkpoint.tensor(TensorId::in_layer(self.layer, role)));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let mut values = vec![0.0; tensors.iter().map(|rows| rows.rows() * rows.row_len()).sum()];
        let mut rest = values.as_mut_slice();
        for rows in &tensors {
            let (out, after) = rest.split_at_mut(rows.rows() * rows.row_len());
            read_rows(rows, 0, out)?;
            rest = after;
        }
        Ok(values)
    }

    fn unsupported(self, part: &'static str) -> ForwardError {
        ForwardError::Unsupported { layer: self.layer, part }
    }
}

/// Dequantizes as many rows as `out` holds, from row `first` on, on all threads.
pub(crate) fn read_rows(rows: &TensorRows, first: usize, out: &mut [f32]) -> Result<(), ModelError> {
    let rows_of_task = (TASK_ELEMENTS / rows.row_len()).max(1);
    out.par_chunks_mut(rows_of_task * rows.row_len()).enumerate().try_for_each(|(task, out)| {
        let start = first + task * rows_of_task;
        rows.read(start..start + out.len() / rows.row_len(), out)
    })
}
