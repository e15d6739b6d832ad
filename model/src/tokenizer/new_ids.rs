//! Where the ids of a vocabulary went when it was cut.

use super::TokenizerError;

/// From the ids of a vocabulary to those of the smaller one that keeps some of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIds {
    /// By old id.
    new: Vec<Option<u32>>,
}

impl NewIds {
    /// The new id of a token is its position in `kept`; `tokens` is the size of the old vocabulary.
    ///
    /// The order of ids decides between tokens that are found in a text with equal right, so it stays.
    ///
    /// # Errors
    /// When an id is not in the old vocabulary, is there twice, or comes after a greater one.
    pub fn new(kept: &[u32], tokens: usize) -> Result<Self, TokenizerError> {
        let mut new = vec![None; tokens];
        let mut previous = None;
        for (position, &id) in (0..).zip(kept) {
            if let Some(previous) = previous.filter(|&previous| previous >= id) {
                return Err(TokenizerError::KeptOrder { previous, id });
            }
            previous = Some(id);
            *new.get_mut(id as usize).ok_or(TokenizerError::IdOutOfRange { id, tokens })? = Some(position);
        }
        Ok(Self { new })
    }

    /// The new id of a token; `None` if it was left out, or never there.
    pub fn get(&self, old: u32) -> Option<u32> {
        self.new.get(old as usize).copied().flatten()
    }

    /// The new ids; `None` if one of the tokens was left out.
    pub fn all(&self, old: &[u32]) -> Option<Vec<u32>> {
        old.iter().map(|&id| self.get(id)).collect()
    }
}
