//! Softmax attention: full or windowed, grouped or not.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use secateur_model::CacheType;
use secateur_model::spec::{AttentionSpec, LayerSpec};

use super::cache::Kept;
use super::exponential::exp;
use super::linear::{Linear, with_values};
use super::norm::{RmsNorm, add_to_residual, dot, sum_of};
use super::rope::RopeTable;
use super::taps::Site;

/// Tokens whose scores exist at a time: few enough that little is computed above the diagonal.
pub(crate) const QUERY_TOKENS: usize = 128;

/// Tokens that one task copies at least: enough to pay for its scheduling.
const TASK_TOKENS: usize = 16;

/// `hidden + post_norm(output(mixed values))`.
#[derive(Debug)]
pub(crate) struct Attention {
    pub spec: AttentionSpec,
    pub norm: RmsNorm,
    /// Queries over keys over values: `[(heads + 2 * kv_heads) * head, hidden]`
    pub query_key_value: Linear,
    /// Per head, `[head]`
    pub query_norm: Option<RmsNorm>,
    /// Per head, `[head]`
    pub key_norm: Option<RmsNorm>,
    /// `[hidden, heads * head]`
    pub output: Linear,
    pub post_norm: Option<RmsNorm>,
}

/// Keys and values of the tokens of one text that have passed so far, in one layer.
#[derive(Debug, Clone)]
pub(crate) struct KeysAndValues {
    /// `[kv_heads, capacity, head]`
    pub keys: Vec<f32>,
    /// `[kv_heads, capacity, head]`
    pub values: Vec<f32>,
    capacity: usize,
    tokens: usize,
    cache: CacheType,
}

impl KeysAndValues {
    /// Room for a text of `capacity` tokens; none if the layer has no attention.
    pub fn new(layer: &LayerSpec, capacity: usize, cache: CacheType) -> Self {
        let size =
            layer.attention().map_or(0, |attention| attention.kv_heads * attention.head_size) * capacity;
        Self { keys: vec![0.0; size], values: vec![0.0; size], capacity, tokens: 0, cache }
    }
}

impl Attention {
    /// Adds to the residual, `[texts, tokens, hidden]`: of each text the tokens that follow those in its memory.
    pub fn run(
        &self,
        hidden: &mut [f32],
        memories: &mut [&mut KeysAndValues],
        rope: &RopeTable,
        mut tap: impl FnMut(Site, &[f32]),
    ) -> Result<()> {
        let input = self.norm.apply(hidden);
        tap(Site::AttentionInput, &input);
        let mixed = self.mixed(input, memories, rope)?;
        tap(Site::AttentionOutput, &mixed);
        self.add_output(hidden, mixed)
    }

    /// What the output projection reads, `[tokens, heads * head]`, from the normed input, `[tokens, hidden]`.
    pub fn mixed(
        &self,
        input: Vec<f32>,
        memories: &mut [&mut KeysAndValues],
        rope: &RopeTable,
    ) -> Result<Vec<f32>> {
        let projected = self.query_key_value.apply(input)?;
        match memories {
            [memory] => {
                let queries = with_values(&projected, |projected| self.place(projected, memory, rope))?;
                drop(projected);
                self.mix(queries, memory)
            }
            memories => with_values(&projected, |projected| self.look_back(projected, memories, rope)),
        }
    }

    /// Adds what the output projection makes of `mixed`, `[tokens, heads * head]`, to the residual, `[tokens, hidden]`.
    pub fn add_output(&self, hidden: &mut [f32], mixed: Vec<f32>) -> Result<()> {
        let update = self.output.apply(mixed)?;
        with_values(&update, |update| add_to_residual(hidden, update, self.post_norm.as_ref()))
    }

    /// One more token of each text: from `[texts, (heads + 2 * kv_heads) * head]` to `[texts, heads * head]`. Matrix products would first
    /// copy what they read, so here are plain loops over each memory.
    fn look_back(
        &self,
        projected: &[f32],
        memories: &mut [&mut KeysAndValues],
        rope: &RopeTable,
    ) -> Vec<f32> {
        let AttentionSpec { heads, head_size, .. } = self.spec;
        let width = heads * head_size;
        let mut mixed = vec![0.0; memories.len() * width];
        let rows = projected.par_chunks_exact(projected.len() / memories.len());
        let texts = mixed.par_chunks_exact_mut(width).zip(rows).zip(memories.par_iter_mut());
        texts.for_each(|((mixed, projected), memory)| {
            let queries = self.place(projected, memory, rope);
            let (position, group) = (memory.tokens - 1, self.group());
            let seen = self.first_visible(position)..position + 1;
            for (head, (query, mixed)) in
                queries.chunks_exact(head_size).zip(mixed.chunks_exact_mut(head_size)).enumerate()
            {
                let of_kv_head = (head / group * memory.capacity + seen.start) * head_size;
                let of_kv_head = of_kv_head..of_kv_head + seen.len() * head_size;
                let keys = memory.keys[of_kv_head.clone()].chunks_exact(head_size);
                let scores: Vec<f32> = keys.map(|key| dot(query, key)).collect();
                let shares = self.softmax(&scores, seen.clone(), position..position + 1);
                let values = memory.values[of_kv_head].chunks_exact(head_size);
                for (share, value) in shares.iter().zip(values) {
                    mixed.iter_mut().zip(value).for_each(|(mixed, value)| *mixed += share * value);
                }
            }
        });
        mixed
    }

    /// Query heads that share a key and a value head.
    pub fn group(&self) -> usize {
        self.spec.heads / self.spec.kv_heads
    }

    /// Norms and rotates `[tokens, (heads + 2 * kv_heads) * head]`; keys and values go to memory, the queries come
    /// back scaled, `[kv_heads, tokens, group, head]`.
    pub fn place(&self, projected: &[f32], memory: &mut KeysAndValues, rope: &RopeTable) -> Vec<f32> {
        let AttentionSpec { heads, kv_heads, head_size, scale, .. } = self.spec;
        let row_len = (heads + 2 * kv_heads) * head_size;
        let (tokens, first, group) = (projected.len() / row_len, memory.tokens, self.group());
        let (capacity, cache) = (memory.capacity, memory.cache);
        let mut queries = vec![0.0; tokens * heads * head_size];
        let by_kv_head = queries
            .par_chunks_mut(tokens * group * head_size)
            .zip(memory.keys.par_chunks_mut(capacity * head_size))
            .zip(memory.values.par_chunks_mut(capacity * head_size));
        by_kv_head.enumerate().for_each(|(kv_head, ((queries, keys), values))| {
            let new = first * head_size..(first + tokens) * head_size;
            let by_token = projected
                .par_chunks_exact(row_len)
                .zip(queries.par_chunks_exact_mut(group * head_size))
                .zip(keys[new.clone()].par_chunks_exact_mut(head_size))
                .zip(values[new.clone()].par_chunks_exact_mut(head_size))
                .with_min_len(TASK_TOKENS);
            by_token.enumerate().for_each(|(token, (((row, queries), key), value))| {
                let position = first + token;
                let head_of = |head: usize| &row[head * head_size..][..head_size];
                for (member, query) in queries.chunks_exact_mut(head_size).enumerate() {
                    query.copy_from_slice(head_of(kv_head * group + member));
                    if let Some(norm) = &self.query_norm {
                        norm.apply_to_row(query);
                    }
                    rope.rotate(query, position);
                    query.iter_mut().for_each(|value| *value *= scale);
                }
                key.copy_from_slice(head_of(heads + kv_head));
                if let Some(norm) = &self.key_norm {
                    norm.apply_to_row(key);
                }
                rope.rotate(key, position);
                value.copy_from_slice(head_of(heads + kv_heads + kv_head));
            });
            Kept::queries(cache, head_size).apply(queries);
            Kept::keys(cache, head_size).apply(&mut keys[new.clone()]);
            Kept::values(cache, head_size).apply(&mut values[new]);
        });
        memory.tokens += tokens;
        queries
    }

    /// The values that the queries ask for, `[tokens, heads * head]`.
    pub fn mix(&self, queries: Vec<f32>, memory: &KeysAndValues) -> Result<Vec<f32>> {
        let AttentionSpec { heads, kv_heads, head_size, .. } = self.spec;
        let (group, width) = (self.group(), heads * head_size);
        let tokens = queries.len() / width;
        let first = memory.tokens - tokens;
        let queries = Tensor::from_vec(queries, (kv_heads, tokens * group, head_size), &Device::Cpu)?;
        let remembered = (kv_heads, memory.capacity, head_size);
        let keys = Tensor::from_slice(&memory.keys, remembered, &Device::Cpu)?;
        let values = Tensor::from_slice(&memory.values, remembered, &Device::Cpu)?;
        let mut mixed = vec![0.0; tokens * width];
        for start in (0..tokens).step_by(QUERY_TOKENS) {
            let end = (start + QUERY_TOKENS).min(tokens);
            let visible = self.first_visible(first + start)..first + end;
            let queries = queries.narrow(1, start * group, (end - start) * group)?;
            let keys = keys.narrow(1, visible.start, visible.len())?;
            let values = values.narrow(1, visible.start, visible.len())?;
            let scores = queries.matmul(&keys.t()?)?;
            let shares =
                with_values(&scores, |scores| self.softmax(scores, visible, first + start..first + end))?;
            let shares = Tensor::from_vec(shares, scores.shape(), &Device::Cpu)?;
            drop(scores);
            let tile = &mut mixed[start * width..end * width];
            with_values(&shares.matmul(&values)?, |by_head| self.gather(by_head, tile))?;
        }
        Ok(mixed)
    }

    /// The earliest position that a token sees.
    pub fn first_visible(&self, position: usize) -> usize {
        self.spec.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Scores of the tokens at `positions` over the tokens at `visible`, `[kv_heads, positions, group, visible]`, as shares
    /// that sum to 1. A token sees itself and what is before it, inside its window.
    pub fn softmax(&self, scores: &[f32], visible: Range<usize>, positions: Range<usize>) -> Vec<f32> {
        let group = self.group();
        let mut shares = vec![0.0; scores.len()];
        let rows = shares.par_chunks_mut(visible.len()).zip(scores.par_chunks(visible.len()));
        rows.enumerate().for_each(|(row, (shares, scores))| {
            let position = positions.start + row / group % positions.len();
            let seen = self.first_visible(position) - visible.start..position + 1 - visible.start;
            let (shares, scores) = (&mut shares[seen.clone()], &scores[seen]);
            shares.copy_from_slice(scores);
            if let Some(cap) = self.spec.logit_softcap {
                shares.iter_mut().for_each(|score| *score = cap * (*score / cap).tanh());
            }
            let greatest = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            shares.iter_mut().for_each(|score| *score = exp(*score - greatest));
            let factor = 1.0 / sum_of(shares, |share| share);
            shares.iter_mut().for_each(|share| *share *= factor);
        });
        shares
    }

    /// From `[kv_heads, tokens, group, head]` to `[tokens, heads * head]`.
    fn gather(&self, by_head: &[f32], tokens_out: &mut [f32]) {
        let AttentionSpec { heads, kv_heads, head_size, .. } = self.spec;
        let (width, of_kv_head) = (self.group() * head_size, by_head.len() / kv_heads);
        let tokens_out = tokens_out.par_chunks_exact_mut(heads * head_size).with_min_len(TASK_TOKENS);
        tokens_out.enumerate().for_each(|(token, out)| {
            for (out, rows) in out.chunks_exact_mut(width).zip(by_head.chunks_exact(of_kv_head)) {
                out.copy_from_slice(&rows[token * width..][..width]);
            }
        });
    }
}
