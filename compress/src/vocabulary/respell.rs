//! Sequences of one vocabulary spelled with another.

use secateur_model::tokenizer::{EncodeOptions, Encoder, Tokenizer, TokenizerError};

/// The text of each sequence of `before`'s tokens, in tokens of `after`.
///
/// # Errors
/// If a sequence has tokens that `before` has not, or its text cannot be tokenized.
pub fn respell(
    before: &Tokenizer,
    after: &Tokenizer,
    sequences: &[Vec<u32>],
) -> Result<Vec<Vec<u32>>, TokenizerError> {
    let encoder = Encoder::new(after)?;
    // what begins a sequence is in its text
    let options = EncodeOptions { add_special: false, parse_special: true };
    sequences.iter().map(|sequence| encoder.encode(&before.decode(sequence, true)?, options)).collect()
}
