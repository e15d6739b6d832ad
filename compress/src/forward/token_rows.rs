//! What texts have at one place of a model: a row of numbers for each token.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::{ForwardError, Hidden};

/// Bytes of one place that stay in memory: what 24,576 tokens of a model of a billion parameters have between two layers.
const MOST_IN_MEMORY: usize = 256 << 20;

/// Rows of equal width, `[tokens, width]` for each text: in memory as long as they are few, else in a file that has no name and goes with the value.
/// So no text is too long for a machine, whatever the number of tokens that it takes to solve for a layer.
#[derive(Debug)]
pub(crate) struct TokenRows {
    width: usize,
    /// Where the rows of each text begin, and where the last ones end.
    starts: Vec<usize>,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<f32>),
    File(File),
}

impl TokenRows {
    /// Zeros for all tokens of some texts. `folder` is where a file is made if they are many.
    ///
    /// # Errors
    /// If no file can be made there, or it finds no room.
    pub fn new(
        tokens: impl Iterator<Item = usize>,
        width: usize,
        folder: &Path,
    ) -> Result<Self, ForwardError> {
        Self::within(MOST_IN_MEMORY, tokens, width, folder).map_err(ForwardError::TokenRows)
    }

    fn within(
        limit: usize,
        tokens: impl Iterator<Item = usize>,
        width: usize,
        folder: &Path,
    ) -> io::Result<Self> {
        let mut starts = vec![0];
        starts.extend(tokens.scan(0, |end, tokens| {
            *end += tokens;
            Some(*end)
        }));
        let numbers = starts.last().copied().unwrap_or_default() * width;
        let bytes = numbers * size_of::<f32>();
        let kept = if bytes <= limit {
            Kept::Memory(vec![0.0; numbers])
        } else {
            let file = tempfile::tempfile_in(folder)?;
            file.set_len(bytes as u64)?;
            Kept::File(file)
        };
        Ok(Self { width, starts, kept })
    }

    /// How many texts there are.
    pub fn texts(&self) -> usize {
        self.starts.len() - 1
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Numbers of all texts.
    pub fn numbers(&self) -> usize {
        self.tokens() * self.width
    }

    /// Numbers of one text.
    pub fn numbers_of(&self, text: usize) -> usize {
        self.range(text).len()
    }

    /// Tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.starts.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0)
    }

    /// The rows of a text, `[tokens, width]`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn get(&mut self, text: usize) -> Result<Vec<f32>, ForwardError> {
        let range = self.range(text);
        match &mut self.kept {
            Kept::Memory(values) => Ok(values[range].to_vec()),
            Kept::File(file) => read(file, range).map_err(ForwardError::TokenRows),
        }
    }

    /// The rows of a text as hidden states.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn hidden(&mut self, text: usize) -> Result<Hidden, ForwardError> {
        Ok(Hidden::new(self.get(text)?, self.width))
    }

    /// Replaces the rows of a text.
    ///
    /// # Errors
    /// If the disk is full.
    ///
    /// # Panics
    /// If these are not as many numbers as the text has.
    pub fn put(&mut self, text: usize, rows: &[f32]) -> Result<(), ForwardError> {
        let range = self.range(text);
        assert_eq!(rows.len(), range.len(), "a text keeps its number of tokens");
        match &mut self.kept {
            Kept::Memory(values) => values[range].copy_from_slice(rows),
            Kept::File(file) => write(file, range.start, rows).map_err(ForwardError::TokenRows)?,
        }
        Ok(())
    }

    /// Where a text stands among all numbers.
    fn range(&self, text: usize) -> Range<usize> {
        self.starts[text] * self.width..self.starts[text + 1] * self.width
    }
}

fn read(file: &mut File, numbers: Range<usize>) -> io::Result<Vec<f32>> {
    let mut values = vec![0.0_f32; numbers.len()];
    seek(file, numbers.start)?;
    file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

fn write(file: &mut File, first: usize, values: &[f32]) -> io::Result<()> {
    seek(file, first)?;
    file.write_all(bytemuck::cast_slice(values))
}

fn seek(file: &mut File, number: usize) -> io::Result<()> {
    file.seek(SeekFrom::Start((number * size_of::<f32>()) as u64)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_memory_holds() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = [3, 1, 0, 4];
        let mut kinds =
            [0, 1 << 20].map(|limit| TokenRows::within(limit, tokens.into_iter(), 5, folder.path()).unwrap());
        assert!(matches!(kinds[0].kept, Kept::File(_)));
        assert!(matches!(kinds[1].kept, Kept::Memory(_)));
        for rows in &mut kinds {
            assert_eq!((rows.texts(), rows.longest()), (4, 4));
            for text in [3, 0, 2, 1] {
                let values: Vec<f32> =
                    (0..5 * tokens[text]).map(|index| (100 * text + index) as f32).collect();
                rows.put(text, &values).unwrap();
            }
            assert_eq!(rows.get(1).unwrap(), [100.0, 101.0, 102.0, 103.0, 104.0]);
            assert_eq!(rows.get(2).unwrap(), [0.0; 0]);
            assert_eq!(rows.hidden(0).unwrap().tokens(), 3);
            assert_eq!(rows.get(3).unwrap()[19], 319.0);
        }
        drop(kinds);
        // nothing is left behind
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
