//! Writes the tensors of a file one after the other, in the order that its header promised.

use std::collections::VecDeque;
use std::io::{self, Write};

/// The ways in which what is written can differ from what the header promised.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum TensorWriteError {
    #[error("cannot be written")]
    Io(#[from] io::Error),
    #[error("tensor `{found}` comes when `{expected}` is next")]
    WrongOrder { expected: String, found: String },
    #[error("tensor `{found}` comes when all tensors are written")]
    Surplus { found: String },
    #[error("bytes come before the first tensor was begun")]
    NotBegun,
    #[error("tensor `{name}` gets {found} bytes or more, expected {expected}")]
    TooManyBytes { name: String, expected: u64, found: u64 },
    #[error("tensor `{name}` got {found} bytes, expected {expected}")]
    TooFewBytes { name: String, expected: u64, found: u64 },
    #[error("tensor `{name}` is missing")]
    Missing { name: String },
}

/// A tensor that the header has promised.
#[derive(Debug)]
pub(crate) struct Upcoming {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Zeros after it.
    pub(crate) padding: u64,
}

/// Takes the tensors of a file whose header is written: [`begin`](Self::begin), then
/// [`write_all`](Self::write_all) in pieces of any size, for each tensor in order; at the end [`finish`](Self::finish).
#[derive(Debug)]
pub struct TensorWriter<W> {
    sink: W,
    upcoming: VecDeque<Upcoming>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    tensor: Upcoming,
    written: u64,
}

impl<W: Write> TensorWriter<W> {
    pub(crate) fn new(sink: W, upcoming: impl IntoIterator<Item = Upcoming>) -> Self {
        Self { sink, upcoming: upcoming.into_iter().collect(), current: None }
    }

    /// Begins the next tensor, which must be the one of this name.
    ///
    /// # Errors
    /// When another tensor is next, when the one before lacks bytes, when writing fails.
    pub fn begin(&mut self, name: &str) -> Result<(), TensorWriteError> {
        self.end_current()?;
        let Some(next) = self.upcoming.pop_front() else {
            return Err(TensorWriteError::Surplus { found: name.to_owned() });
        };
        if next.name != name {
            return Err(TensorWriteError::WrongOrder { expected: next.name, found: name.to_owned() });
        }
        self.current = Some(Current { tensor: next, written: 0 });
        Ok(())
    }

    /// True if not all tensors were begun.
    pub(crate) fn has_upcoming(&self) -> bool {
        !self.upcoming.is_empty()
    }

    /// Appends bytes to the tensor that was begun.
    ///
    /// # Errors
    /// When the tensor gets more bytes than it has, when writing fails.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), TensorWriteError> {
        let current = self.current.as_mut().ok_or(TensorWriteError::NotBegun)?;
        let written = current.written + bytes.len() as u64;
        if written > current.tensor.bytes {
            return Err(TensorWriteError::TooManyBytes {
                name: current.tensor.name.clone(),
                expected: current.tensor.bytes,
                found: written,
            });
        }
        self.sink.write_all(bytes)?;
        current.written = written;
        Ok(())
    }

    /// Checks that all tensors are there, flushes, and gives the sink back.
    ///
    /// # Errors
    /// When a tensor is missing or lacks bytes, when writing fails.
    pub fn finish(mut self) -> Result<W, TensorWriteError> {
        self.end_current()?;
        if let Some(missing) = self.upcoming.pop_front() {
            return Err(TensorWriteError::Missing { name: missing.name });
        }
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn end_current(&mut self) -> Result<(), TensorWriteError> {
        let Some(Current { tensor, written }) = self.current.take() else { return Ok(()) };
        if written != tensor.bytes {
            return Err(TensorWriteError::TooFewBytes {
                name: tensor.name,
                expected: tensor.bytes,
                found: written,
            });
        }
        Ok(write_zeros(tensor.padding, &mut self.sink)?)
    }
}

/// Writes this many zeros.
pub(crate) fn write_zeros(count: u64, sink: &mut impl Write) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), sink).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> TensorWriter<Vec<u8>> {
        let upcoming = |name: &str, bytes, padding| Upcoming { name: name.to_owned(), bytes, padding };
        TensorWriter::new(Vec::new(), [upcoming("a", 3, 1), upcoming("b", 2, 2)])
    }

    #[test]
    fn tensors_are_written_in_pieces_and_padded() {
        let mut writer = writer();
        writer.begin("a").unwrap();
        writer.write_all(b"xy").unwrap();
        writer.write_all(b"z").unwrap();
        writer.begin("b").unwrap();
        writer.write_all(b"uv").unwrap();
        assert_eq!(writer.finish().unwrap(), b"xyz\0uv\0\0");
    }

    #[test]
    fn bytes_need_a_tensor() {
        assert!(matches!(writer().write_all(b"x"), Err(TensorWriteError::NotBegun)));
    }

    #[test]
    fn the_order_is_the_one_of_the_header() {
        let error = writer().begin("b").unwrap_err();
        assert!(
            matches!(error, TensorWriteError::WrongOrder { expected, found } if expected == "a" && found == "b")
        );
    }

    #[test]
    fn a_tensor_gets_exactly_its_bytes() {
        let mut one = writer();
        one.begin("a").unwrap();
        let error = one.write_all(b"xyzu").unwrap_err();
        assert!(matches!(error, TensorWriteError::TooManyBytes { expected: 3, found: 4, .. }));

        let mut one = writer();
        one.begin("a").unwrap();
        one.write_all(b"x").unwrap();
        let error = one.begin("b").unwrap_err();
        assert!(matches!(error, TensorWriteError::TooFewBytes { expected: 3, found: 1, .. }));
    }

    #[test]
    fn missing_and_surplus_tensors_are_named() {
        let mut one = writer();
        one.begin("a").unwrap();
        one.write_all(b"xyz").unwrap();
        assert!(matches!(one.finish(), Err(TensorWriteError::Missing { name }) if name == "b"));

        let mut none = TensorWriter::new(Vec::new(), []);
        assert!(matches!(none.begin("c"), Err(TensorWriteError::Surplus { found }) if found == "c"));
    }
}
