//! A model with fewer tokens, as a view of its files.

use crate::hf::token_ids::renumbered;
use crate::plan::VocabularyPlan;
use crate::tokenizer::{NewIds, Tokenizer};
use crate::{Checkpoint, Kept, ModelError, Origin, Role, TensorId};

impl Checkpoint {
    /// The same model with a smaller vocabulary: token `i` is what `kept[i]` was, with its row of the embedding and of the output matrix.
    /// `tokenizer` is that of the kept tokens. Nothing is copied: rows are left out where they are read.
    ///
    /// # Errors
    /// If ids do not ascend or are not in the vocabulary, or the tokenizer has another size.
    pub fn with_tokens(mut self, kept: &[u32], tokenizer: Tokenizer) -> Result<Self, ModelError> {
        let new_ids = NewIds::new(kept, self.spec.vocabulary_size)
            .map_err(|source| ModelError::Tokenizer { path: self.source.clone(), source })?;
        for role in [Role::TokenEmbedding, Role::Output] {
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

    /// Which tokens of the files the model has, if not all.
    pub fn kept_tokens(&self) -> Option<VocabularyPlan> {
        let tensor = self.tensors.get(&TensorId::global(Role::TokenEmbedding))?;
        let (kept, of) = (tensor.rows.as_ref()?, *tensor.stored.shape.first()?);
        Some(VocabularyPlan { of, kept: Kept::new(kept) })
    }
}
