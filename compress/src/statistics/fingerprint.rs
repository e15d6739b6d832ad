//! Names for models and texts that change when anything changes that statistics depend on.

use rayon::prelude::*;
use secateur_model::{Checkpoint, TensorId};
use sha2::{Digest, Sha256};

use super::StatisticsError;
use crate::checksum::hexadecimal;
use crate::progress::Progress;

/// SHA-256 of what a model computes: its spec, and of every tensor its type and its stored bytes. The files around the numbers do not
/// count; a tensor is a task, so that all threads hash.
///
/// # Errors
/// If a tensor cannot be mapped, or the user interrupts.
pub(super) fn of_model(checkpoint: &Checkpoint, progress: &dyn Progress) -> Result<String, StatisticsError> {
    let ids = checkpoint.spec.tensor_ids();
    progress.begin("hashing", checkpoint.tensor_bytes());
    let digests: Vec<_> = ids
        .into_par_iter()
        .filter(|&id| checkpoint.stored_type(id).is_some())
        .map(|id| of_tensor(checkpoint, id, progress))
        .collect::<Result<_, _>>()?;
    let mut hasher = Sha256::new();
    // a spec is plain data: nothing in it that JSON could refuse
    hasher.update(serde_json::to_vec(&checkpoint.spec).unwrap_or_default());
    for digest in digests {
        hasher.update(digest);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn of_tensor(
    checkpoint: &Checkpoint,
    id: TensorId,
    progress: &dyn Progress,
) -> Result<[u8; 32], StatisticsError> {
    if progress.is_interrupted() {
        return Err(StatisticsError::Interrupted);
    }
    let rows = checkpoint.tensor(id)?;
    let mut hasher = Sha256::new();
    hasher.update(format!("{id:?} {} {} {}", rows.tensor_type(), rows.row_len(), rows.offset()));
    let mut bytes = 0;
    for row in 0..rows.rows() {
        rows.identity(row, |part| {
            hasher.update(part);
            bytes += part.len() as u64;
        });
    }
    progress.advance(bytes);
    Ok(hasher.finalize().into())
}

/// SHA-256 of sequences of tokens.
pub fn of_sequences(sequences: &[Vec<u32>]) -> String {
    let mut hasher = Sha256::new();
    for sequence in sequences {
        hasher.update((sequence.len() as u64).to_le_bytes());
        for token in sequence {
            hasher.update(token.to_le_bytes());
        }
    }
    hexadecimal(&hasher.finalize())
}
