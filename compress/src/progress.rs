//! How long work tells what it has done, and learns that it should stop.

use crate::CompressError;

/// Told about progress; knows whether the user has had enough.
pub trait Progress: Sync {
    /// A stage begins that will go through this many numbers.
    fn begin(&self, stage: &'static str, elements: u64);
    /// A stage begins that will take this many tokens through `steps` layers; each token counts once in each.
    fn begin_tokens(&self, stage: &'static str, tokens: u64, steps: u64) {
        self.begin(stage, tokens * steps);
    }
    /// So many more numbers, or tokens, are done.
    fn advance(&self, elements: u64);
    /// True once the user asked to stop.
    fn is_interrupted(&self) -> bool;

    /// # Errors
    /// [`CompressError::Interrupted`] once the user asked to stop.
    fn check(&self) -> Result<(), CompressError> {
        if self.is_interrupted() { Err(CompressError::Interrupted) } else { Ok(()) }
    }
}

/// Tells nobody and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &'static str, _elements: u64) {}
    fn advance(&self, _elements: u64) {}
    fn is_interrupted(&self) -> bool {
        false
    }
}
