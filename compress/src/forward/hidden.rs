//! One text between two layers.

/// The hidden states of one text, `[tokens, hidden]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    values: Vec<f32>,
    width: usize,
}

impl Hidden {
    /// `values` is `[tokens, width]`.
    ///
    /// # Panics
    /// If `values` is not a whole number of rows.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        assert!(values.len().is_multiple_of(width), "hidden states come in whole rows");
        Self { values, width }
    }

    /// How many tokens the text has.
    pub fn tokens(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers of one token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All states, token after token.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All states, to be changed.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The states of up to `tokens` tokens at a time.
    pub(super) fn chunks_mut(&mut self, tokens: usize) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_mut(tokens * self.width)
    }
}
