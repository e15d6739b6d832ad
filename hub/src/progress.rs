//! How a pull tells what it has done, and learns that it should stop.

/// Told about progress in bytes; knows whether the user has had enough.
pub trait Progress: Sync {
    /// So many bytes will be there in the end, so many of them are there already.
    fn begin(&self, total: u64, present: u64);
    /// So many more bytes have come.
    fn advance(&self, bytes: u64);
    /// So many bytes that had come are of no use.
    fn retreat(&self, bytes: u64);
    /// Something that the user may want to know while waiting.
    fn note(&self, message: &str);
    /// True once the user asked to stop.
    fn is_interrupted(&self) -> bool;
}

/// Tells nobody and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _total: u64, _present: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn retreat(&self, _bytes: u64) {}
    fn note(&self, _message: &str) {}
    fn is_interrupted(&self) -> bool {
        false
    }
}
