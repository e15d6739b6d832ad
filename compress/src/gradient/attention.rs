//! Back through softmax attention.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use secateur_model::spec::{AttentionSpec, LayerSpec};
use secateur_model::{CacheType, Role};

use super::columns::{add, columns};
use super::layer::Seen;
use super::norm;
use crate::forward::ForwardError;
use crate::forward::attention::{Attention, KeysAndValues, QUERY_TOKENS};
use crate::forward::linear::with_values;
use crate::forward::norm::add_to_residual;
use crate::forward::rope::RopeTable;

/// One text that has passed the attention of a layer, with what the way back needs.
pub(super) struct Attended<'a> {
    part: &'a Attention,
    rope: &'a RopeTable,
    /// `[tokens, (heads + 2 * kv_heads) * head]`: before norms and rotation
    projected: Tensor,
    /// `[kv_heads, tokens, group, head]`: rotated and scaled
    queries: Vec<f32>,
    memory: KeysAndValues,
    /// `[tokens, heads * head]`: what the output projection reads
    mixed: Vec<f32>,
    /// `[tokens, hidden]`: what joins the residual, before its norm
    update: Tensor,
    tokens: usize,
}

/// Gradients at rotated queries, `[kv_heads, tokens, group, head]`, and at rotated keys and values, `[kv_heads, tokens, head]`.
struct AtHeads {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl<'a> Attended<'a> {
    /// Takes a whole text through: `hidden`, `[tokens, hidden]`, is what the layer reads.
    pub fn run(
        part: &'a Attention,
        spec: &LayerSpec,
        rope: &'a RopeTable,
        hidden: &[f32],
    ) -> candle_core::Result<Self> {
        let tokens = hidden.len() / part.norm.weight.len();
        let mut memory = KeysAndValues::new(spec, tokens, CacheType::F32);
        let projected = part.query_key_value.apply(part.norm.apply(hidden))?;
        let queries = with_values(&projected, |projected| part.place(projected, &mut memory, rope))?;
        let mixed = part.mix(queries.clone(), &memory)?;
        let update = part.output.apply(mixed.clone())?;
        Ok(Self { part, rope, projected, queries, memory, mixed, update, tokens })
    }

    /// The residual after the attention, `[tokens, hidden]`, from that before it.
    pub fn residual(&self, hidden: &[f32]) -> candle_core::Result<Vec<f32>> {
        let mut after = hidden.to_vec();
        let norm = self.part.post_norm.as_ref();
        with_values(&self.update, |update| add_to_residual(&mut after, update, norm))?;
        Ok(after)
    }

    /// Turns the gradient after the part into that before it; `hidden` is what the part read. Both are `[tokens, hidden]`.
    pub fn back(self, hidden: &[f32], gradient: &mut [f32], seen: Seen) -> Result<(), ForwardError> {
        let AttentionSpec { heads, kv_heads, head_size, .. } = self.part.spec;
        let mut at_update = gradient.to_vec();
        if let Some(post_norm) = &self.part.post_norm {
            with_values(&self.update, |update| norm::back(post_norm, update, &mut at_update))?;
        }
        seen(Role::AttentionOutput, &at_update, &self.mixed)?;
        let at_mixed = self.part.output.back(at_update)?;
        let at_mixed = with_values(&at_mixed, |at_mixed| self.by_head(at_mixed))?;
        let at_heads = self.unmix(at_mixed)?;
        let at_projected = with_values(&self.projected, |projected| self.unplace(projected, &at_heads))?;
        let (queries, keys, row_len) =
            (heads * head_size, (heads + kv_heads) * head_size, (heads + 2 * kv_heads) * head_size);
        let input = self.part.norm.apply(hidden);
        seen(Role::AttentionQuery, &columns(&at_projected, row_len, 0..queries), &input)?;
        seen(Role::AttentionKey, &columns(&at_projected, row_len, queries..keys), &input)?;
        seen(Role::AttentionValue, &columns(&at_projected, row_len, keys..row_len), &input)?;
        let mut at_input = with_values(&self.part.query_key_value.back(at_projected)?, <[f32]>::to_vec)?;
        norm::back(&self.part.norm, hidden, &mut at_input);
        add(gradient, &at_input);
        Ok(())
    }

    /// From `[tokens, heads * head]` to `[kv_heads, tokens, group, head]`.
    fn by_head(&self, tokens_in: &[f32]) -> Vec<f32> {
        let AttentionSpec { heads, kv_heads, head_size, .. } = self.part.spec;
        let width = self.part.group() * head_size;
        let of_kv_head =
            |kv_head: usize| columns(tokens_in, heads * head_size, kv_head * width..(kv_head + 1) * width);
        (0..kv_heads).flat_map(of_kv_head).collect()
    }

    /// Back through the products of queries with keys, the softmax, and the products with values.
    /// `at_mixed` is `[kv_heads, tokens, group, head]`.
    fn unmix(&self, at_mixed: Vec<f32>) -> candle_core::Result<AtHeads> {
        let AttentionSpec { kv_heads, head_size, .. } = self.part.spec;
        let (group, tokens) = (self.part.group(), self.tokens);
        let by_query = (kv_heads, tokens * group, head_size);
        let by_key = (kv_heads, tokens, head_size);
        let at_mixed = Tensor::from_vec(at_mixed, by_query, &Device::Cpu)?;
        let queries = Tensor::from_slice(&self.queries, by_query, &Device::Cpu)?;
        let keys = Tensor::from_slice(&self.memory.keys, by_key, &Device::Cpu)?;
        let values = Tensor::from_slice(&self.memory.values, by_key, &Device::Cpu)?;
        let mut at = AtHeads {
            queries: vec![0.0; self.queries.len()],
            keys: vec![0.0; self.memory.keys.len()],
            values: vec![0.0; self.memory.values.len()],
        };
        for start in (0..tokens).step_by(QUERY_TOKENS) {
            let positions = start..(start + QUERY_TOKENS).min(tokens);
            let visible = self.part.first_visible(start)..positions.end;
            let rows = start * group..positions.end * group;
            let queries = queries.narrow(1, rows.start, rows.len())?;
            let at_mixed = at_mixed.narrow(1, rows.start, rows.len())?;
            let keys = keys.narrow(1, visible.start, visible.len())?;
            let values = values.narrow(1, visible.start, visible.len())?;
            // [kv_heads, positions * group, visible]
            let scores = queries.matmul(&keys.t()?)?;
            let shape = scores.shape().clone();
            let shares =
                with_values(&scores, |scores| self.part.softmax(scores, visible.clone(), positions.clone()))?;
            let at_shares = at_mixed.matmul(&values.t()?)?;
            let at_scores = with_values(&scores, |scores| {
                with_values(&at_shares, |at_shares| self.unsoftmax(scores, &shares, at_shares, visible.len()))
            })??;
            let shares = Tensor::from_vec(shares, &shape, &Device::Cpu)?;
            let at_scores = Tensor::from_vec(at_scores, &shape, &Device::Cpu)?;
            add_rows(&mut at.queries, &at_scores.matmul(&keys)?, rows)?;
            add_rows(&mut at.keys, &at_scores.t()?.matmul(&queries)?, visible.clone())?;
            add_rows(&mut at.values, &shares.t()?.matmul(&at_mixed)?, visible)?;
        }
        Ok(at)
    }

    /// The gradient at the scores from that at their shares; all are `[kv_heads, positions, group, visible]`.
    ///
    /// `∂L/∂s_i = p_i (g_i - Σ_j p_j g_j)`, times `1 - tanh²(s_i / cap)` if scores are capped. What a token does not see has a
    /// share of zero, and so has its gradient.
    fn unsoftmax(&self, scores: &[f32], shares: &[f32], at_shares: &[f32], visible: usize) -> Vec<f32> {
        let mut at_scores = at_shares.to_vec();
        let rows =
            at_scores.par_chunks_mut(visible).zip(shares.par_chunks(visible)).zip(scores.par_chunks(visible));
        rows.for_each(|((gradient, shares), scores)| {
            let mean = norm::dot(shares, gradient);
            for (gradient, share) in gradient.iter_mut().zip(shares) {
                *gradient = share * (*gradient - mean);
            }
            if let Some(cap) = self.part.spec.logit_softcap {
                for (gradient, score) in gradient.iter_mut().zip(scores) {
                    *gradient *= 1.0 - (score / cap).tanh().powi(2);
                }
            }
        });
        at_scores
    }

    /// Back through scale, rotation and head norms: the gradient at `projected`, `[tokens, (heads + 2 * kv_heads) * head]`.
    fn unplace(&self, projected: &[f32], at: &AtHeads) -> Vec<f32> {
        let AttentionSpec { heads, kv_heads, head_size, scale, .. } = self.part.spec;
        let (group, tokens) = (self.part.group(), self.tokens);
        let row_len = (heads + 2 * kv_heads) * head_size;
        let mut at_projected = vec![0.0; projected.len()];
        let rows = at_projected.par_chunks_mut(row_len).zip(projected.par_chunks(row_len));
        rows.enumerate().for_each(|(token, (row, projected))| {
            let heads_of_row = row.chunks_exact_mut(head_size).zip(projected.chunks_exact(head_size));
            for (head, (gradient, input)) in heads_of_row.enumerate() {
                if head < heads {
                    let at_query = ((head / group * tokens + token) * group + head % group) * head_size;
                    gradient.copy_from_slice(&at.queries[at_query..][..head_size]);
                    gradient.iter_mut().for_each(|gradient| *gradient *= scale);
                    self.rope.rotate_back(gradient, token);
                    if let Some(norm) = &self.part.query_norm {
                        norm::back_row(norm, input, gradient);
                    }
                } else if head < heads + kv_heads {
                    let at_key = ((head - heads) * tokens + token) * head_size;
                    gradient.copy_from_slice(&at.keys[at_key..][..head_size]);
                    self.rope.rotate_back(gradient, token);
                    if let Some(norm) = &self.part.key_norm {
                        norm::back_row(norm, input, gradient);
                    }
                } else {
                    let at_value = ((head - heads - kv_heads) * tokens + token) * head_size;
                    gradient.copy_from_slice(&at.values[at_value..][..head_size]);
                }
            }
        });
        at_projected
    }
}

/// Adds `[kv_heads, range, head]` to those rows of `sums`, `[kv_heads, rows, head]`.
fn add_rows(sums: &mut [f32], values: &Tensor, range: Range<usize>) -> candle_core::Result<()> {
    let (kv_heads, _, head_size) = values.dims3()?;
    let (rows_len, range_len) = (sums.len() / kv_heads, range.len() * head_size);
    with_values(values, |values| {
        for (sums, values) in sums.chunks_exact_mut(rows_len).zip(values.chunks_exact(range_len)) {
            add(&mut sums[range.start * head_size..][..range_len], values);
        }
    })
}
