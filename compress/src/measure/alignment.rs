//! Two vocabularies on one text: a child that lost tokens beside its parent.
//!
//! The parent's chunks are the measure: the child's chunk is what its own tokenization of the whole text has in the same bytes, so that both
//! are scored on the same bytes. Distributions are compared over the tokens that both have, renormalised, after positions where both
//! tokenizations have a boundary and the same token follows.

use std::collections::HashMap;

use secateur_model::Tokenizer;

use super::chunks::{Chunk, bos_of, tokens_of};
use super::rows::{Softmax, divergence};
use super::{Chunks, Compared, MeasureError};

/// A text as two tokenizers have it.
#[derive(Debug, Clone)]
pub struct Alignment {
    /// The text as the child has it; chunk by chunk the bytes of the parent's.
    pub child: Chunks,
    /// Of each chunk, positions of parent and child after which the same token follows.
    pub(super) pairs: Vec<Vec<(usize, usize)>>,
    pub(super) shared: Shared,
}

/// The tokens of both vocabularies: `parent` rises, and `child` has the ids of the same tokens.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    parent: Vec<u32>,
    child: Vec<u32>,
    /// By the parent's id; `None` for a token that the child lacks.
    child_of: Vec<Option<u32>>,
}

impl Alignment {
    /// Lays a text out for both; `chunks` is how the parent has it.
    ///
    /// # Errors
    /// If the child cannot tokenize the text, or the tokens of one of them do not spell it.
    pub fn new(
        parent: &Tokenizer,
        child: &Tokenizer,
        text: &str,
        chunks: &Chunks,
    ) -> Result<Self, MeasureError> {
        let of_child = Spelled::new(child, tokens_of(child, text)?);
        let of_parent = Spelled::new(parent, chunks.tokens().collect());
        if of_child.end() != text.len() || of_parent.end() > text.len() {
            return Err(MeasureError::NotSpelled);
        }
        let shared = Shared::new(parent, child);
        let (mut all, mut pairs, mut first) = (Vec::new(), Vec::new(), 0);
        for chunk in &chunks.all {
            let byte_of = |position: usize| of_parent.starts[first + position];
            let start = of_child.first_from(byte_of(0));
            let end = of_child.first_from(byte_of(chunk.tokens.len()));
            // the first token of a chunk is never scored: nothing stands before it
            let target = of_child.first_from(byte_of(chunk.first_target)).clamp((start + 1).min(end), end);
            let pair = |position: usize| {
                let found = of_child.first_from(byte_of(position));
                let same = of_child.starts[found] == byte_of(position)
                    && (target..end).contains(&found)
                    && shared.of_parent(chunk.tokens[position]) == Some(of_child.tokens[found]);
                same.then(|| (position - 1, found - start - 1))
            };
            pairs.push((chunk.first_target..chunk.tokens.len()).filter_map(pair).collect());
            all.push(Chunk::new(child, of_child.tokens[start..end].to_vec(), target - start));
            first += chunk.tokens.len();
        }
        let child = Chunks { context: chunks.context(), bos: bos_of(child), all };
        Ok(Self { child, pairs, shared })
    }

    /// True if each token has the same id in both, so that nothing needs to be aligned.
    pub fn is_needless(parent: &Tokenizer, child: &Tokenizer) -> bool {
        parent.tokens.len() == child.tokens.len()
            && parent.tokens.iter().zip(&child.tokens).all(|(parent, child)| parent.text == child.text)
    }

    /// Positions that are compared.
    pub fn positions(&self) -> usize {
        self.pairs.iter().map(Vec::len).sum()
    }

    /// How many tokens both vocabularies have.
    pub fn shared_tokens(&self) -> usize {
        self.shared.parent.len()
    }
}

/// Tokens of a text and the bytes at which they start.
struct Spelled {
    tokens: Vec<u32>,
    /// One more than tokens: the last is where the text ends.
    starts: Vec<usize>,
}

impl Spelled {
    /// `tokens` begin where the text begins; what the tokenizer itself put there spells nothing.
    fn new(tokenizer: &Tokenizer, tokens: Vec<u32>) -> Self {
        let added = usize::from(bos_of(tokenizer).is_some() && tokens.first().copied() == bos_of(tokenizer));
        let mut starts = vec![0; added];
        let mut byte = 0;
        for (index, &token) in tokens[added..].iter().enumerate() {
            starts.push(byte);
            let spelled = tokenizer.bytes_of(token);
            let prefix = index == 0 && tokenizer.adds_space_prefix() && spelled.first() == Some(&b' ');
            byte += spelled.len() - usize::from(prefix);
        }
        starts.push(byte);
        Self { tokens, starts }
    }

    fn end(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    /// The first token that starts at a byte or after it.
    fn first_from(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start < byte).min(self.tokens.len())
    }
}

impl Shared {
    fn new(parent: &Tokenizer, child: &Tokenizer) -> Self {
        let ids: HashMap<&str, u32> =
            child.tokens.iter().enumerate().map(|(id, token)| (token.text.as_str(), id as u32)).collect();
        let child_of: Vec<Option<u32>> =
            parent.tokens.iter().map(|token| ids.get(token.text.as_str()).copied()).collect();
        let both = child_of.iter().enumerate().filter_map(|(id, child)| Some((id as u32, (*child)?)));
        let (parent, child) = both.unzip();
        Self { parent, child, child_of }
    }

    /// The child's id of a parent's token.
    fn of_parent(&self, token: u32) -> Option<u32> {
        self.child_of[token as usize]
    }

    /// Parent and child over the tokens of both, renormalised; `target` is the parent's id of a token that both have.
    pub fn compare(&self, parent: &[f32], child: &[f32], target: u32) -> Compared {
        let of =
            |logits: &[f32], ids: &[u32]| ids.iter().map(|&id| logits[id as usize]).collect::<Vec<f32>>();
        let (shared_parent, shared_child) = (of(parent, &self.parent), of(child, &self.child));
        let (of_parent, of_child) = (Softmax::of(&shared_parent), Softmax::of(&shared_child));
        let of_target = self.parent.binary_search(&target).unwrap_or_default();
        Compared {
            divergence: divergence(&shared_parent, of_parent, &shared_child, of_child),
            same_top: of_parent.likeliest == of_child.likeliest,
            parent_loss: of_parent.loss(shared_parent[of_target]),
            child_loss: of_child.loss(shared_child[of_target]),
        }
    }
}
