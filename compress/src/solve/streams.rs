//! The texts of a calibration, as two models have them.

use crate::forward::{ForwardError, Hidden, TokenRows};

/// Between two parts of a layer.
pub struct Streams {
    /// As the parent has them.
    pub parent: TokenRows,
    /// As the changed model has them.
    pub child: TokenRows,
}

impl Streams {
    /// A text as the parent and as the changed model has it.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn hidden(&mut self, text: usize) -> Result<(Hidden, Hidden), ForwardError> {
        Ok((self.parent.hidden(text)?, self.child.hidden(text)?))
    }
}
