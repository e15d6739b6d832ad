//! A model with fewer or more tokens, as a view of its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hf::token_ids::renumbered;
use crate::plan::VocabularyPlan;
use crate::tokenizer::{NewIds, Tokenizer};
use crate::{Checkpoint, Kept, ModelError, Origin, Role, TensorId};

/// The matrices that have a row for each token.
const OF_TOKENS: [Role; 2] = [Role::TokenEmbedding, Role::Output];

impl Checkpoint {
    /// The same model with a smaller vocabulary: token `i` is what `kept[i]` was, with its row of the embedding and of the output matrix.
    /// `tokenizer` is that of the kept tokens. Nothing is copied: rows are left out where they are read.
    ///
    /// # Errors
    /// If ids do not ascend or are not in the vocabulary, or the tokenizer has another size.
    pub fn with_tokens(mut self, kept: &[u32], tokenizer: Tokenizer) -> Result<Self, ModelError> {
        let new_ids = NewIds::new(kept, self.spec.vocabulary_size)
            .map_err(|source| ModelError::Tokenizer { path: self.source.clone(), source })?;
        for role in OF_TOKENS {
            if let Some(tensor) = self.tensors.get_mut(&TensorId::global(role)) {
                tensor.keep_rows(kept);
            }
        }
        if let Origin::HuggingFace { config } = &mut self.origin {
            *config = renumbered(config, &new_ids);
        }
        self.spec.vocabulary_size = kept.len();
        self.tokenizer = Some(tokenizer);
        self.check_vocabulary()
    }

    /// The matrices that have a row for each token: the embedding, and the output matrix where it is another.
    pub fn matrices_of_tokens(&self) -> Vec<TensorId> {
        OF_TOKENS.map(TensorId::global).into_iter().filter(|id| self.tensors.contains_key(id)).collect()
    }

    /// The same model with more tokens after its own. `rows` has their rows in each of [the matrices of tokens](Self::matrices_of_tokens), in the type
    /// that the matrix has; `tokenizer` has these tokens, too.
    ///
    /// # Errors
    /// If a matrix has no rows or not as many as there are tokens, or the tokenizer has another size.
    pub fn with_more_tokens(
        mut self,
        rows: &BTreeMap<TensorId, Arc<[u8]>>,
        tokenizer: Tokenizer,
    ) -> Result<Self, ModelError> {
        let before = self.spec.vocabulary_size;
        let count = tokenizer.tokens.len().saturating_sub(before);
        for id in self.matrices_of_tokens() {
            let Some(tensor) = self.tensors.get_mut(&id) else { continue };
            let given = rows.get(&id).cloned().unwrap_or_default();
            if !tensor.append_rows(&given, count, before) {
                return Err(ModelError::WrongShape {
                    path: self.source,
                    name: tensor.stored.name.clone(),
                    expected: vec![count, tensor.stored.shape[1]],
                    found: vec![given.len()],
                });
            }
        }
        self.spec.vocabulary_size = before + count;
        self.tokenizer = Some(tokenizer);
        self.check_vocabulary()
    }

    /// What became of the vocabulary that the files have, if it is not the same.
    pub fn changed_tokens(&self) -> Option<VocabularyPlan> {
        let tensor = self.tensors.get(&TensorId::global(Role::TokenEmbedding))?;
        let (rows, of) = (tensor.rows.as_ref()?, *tensor.stored.shape.first()?);
        // new tokens come last
        let kept = rows.partition_point(|&row| (row as usize) < of);
        let tokens = self.tokenizer.iter().flat_map(|tokenizer| &tokenizer.tokens[kept..]);
        let added = tokens.map(|token| token.text.clone()).collect();
        Some(VocabularyPlan { of, kept: Kept::new(&rows[..kept]), added })
    }
}
