//! A model with a cut vocabulary, and rows for the tokens that it gets on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, ModelError};
use secateur_quantize::quantize_tensor;

use super::{AddedToken, VocabularyCut, VocabularyError};
use crate::CompressError;

/// The model with the tokens of a cut vocabulary. Tokens that were added have in each matrix the mean of the rows of their pieces ("Fast Vocabulary
/// Transfer for Language Model Compression"), in the type that the matrix has.
///
/// # Errors
/// If the cut is of another vocabulary, or rows cannot be read or stored in their type.
pub fn with_vocabulary(whole: Checkpoint, cut: &VocabularyCut) -> Result<Checkpoint, CompressError> {
    let (more, mut kept) = (cut.added.len(), cut.kept.clone());
    let Some(tokenizer) = whole.tokenizer.as_ref().filter(|_| more > 0) else {
        return Ok(whole.with_tokens(&kept, cut.tokenizer.clone())?);
    };
    let texts: Vec<&str> = cut.added.iter().map(|token| token.text.as_str()).collect();
    let larger = tokenizer.with_user_defined(&texts).map_err(VocabularyError::from)?;
    let mut rows = BTreeMap::new();
    for id in whole.matrices_of_tokens() {
        let matrix = whole.tensor(id)?;
        let name = whole.spec.family.table().gguf_name(id).unwrap_or_default();
        // [tokens, hidden]
        let means = means(&matrix, &cut.added)?;
        let bytes = quantize_tensor(matrix.tensor_type(), &means, matrix.row_len(), None)
            .map_err(|source| CompressError::Quantize { tensor: name, source })?;
        rows.insert(id, Arc::from(bytes));
    }
    let before = whole.spec.vocabulary_size as u32;
    kept.extend(before..before + more as u32);
    Ok(whole.with_more_tokens(&rows, larger)?.with_tokens(&kept, cut.tokenizer.clone())?)
}

/// Of each token the mean of the rows of its pieces, `[tokens, row_len]`.
fn means(matrix: &TensorRows, added: &[AddedToken]) -> Result<Vec<f32>, ModelError> {
    let row_len = matrix.row_len();
    let mut means = Vec::with_capacity(added.len() * row_len);
    let mut row = vec![0.0; row_len];
    for token in added {
        let mut sum = vec![0.0; row_len];
        for &piece in &token.pieces {
            let piece = piece as usize;
            matrix.read(piece..piece + 1, &mut row)?;
            sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        means.extend(sum.iter().map(|sum| (sum / token.pieces.len().max(1) as f64) as f32));
    }
    Ok(means)
}
