//! llama.cpp's file of log-probabilities (`--kl-divergence-base`): what a parent says of a text, so that it need not be asked again.
//!
//! A header (`_logits_`, context, vocabulary size, number of chunks), the tokens of all chunks, then a row for each scored position:
//! scale and least log-probability as `f32`, and for each token of the vocabulary the steps above the least as `u16`, padded to
//! an even count. All little-endian. Log-probabilities more than 16 below the greatest are not told apart.
//!
//! Source: llama.cpp, `tools/perplexity/perplexity.cpp`.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use secateur_model::Tokenizer;
use secateur_model::atomic_file::AtomicFile;

use super::rows::Softmax;
use super::{Chunks, MeasureError};

const MAGIC: &[u8; 8] = b"_logits_";
const HEADER_BYTES: u64 = 20;

/// Less than the greatest by more: stored as if by this.
const DEPTH: f32 = 16.0;

/// What is at or below this counts for nothing: it may be anything smaller.
pub(super) const FLOOR: f32 = -DEPTH;

/// Bytes of a row before the steps.
const ROW_HEAD: usize = 8;

/// Bytes of one row.
fn row_bytes(vocabulary_size: usize) -> usize {
    ROW_HEAD + 2 * vocabulary_size.next_multiple_of(2)
}

/// Writes a base file; it appears whole, once [`finish`](Self::finish) is called.
#[derive(Debug)]
pub struct BaseWriter {
    file: AtomicFile,
    vocabulary_size: usize,
}

impl BaseWriter {
    /// Starts the file of a text.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, chunks: &Chunks, vocabulary_size: usize) -> Result<Self, MeasureError> {
        let mut writer = Self { file: AtomicFile::create(path)?, vocabulary_size };
        let sizes = [chunks.context(), vocabulary_size, chunks.len()];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(sizes.into_iter().flat_map(|size| (size as i32).to_le_bytes()));
        bytes.extend(chunks.tokens().flat_map(u32::to_le_bytes));
        writer.append(&bytes)?;
        Ok(writer)
    }

    /// Adds the rows of scored positions, `[positions, vocabulary]`.
    pub(super) fn write(&mut self, logits: &[f32], softmaxes: &[Softmax]) -> Result<(), MeasureError> {
        let mut bytes = vec![0; softmaxes.len() * row_bytes(self.vocabulary_size)];
        bytes
            .par_chunks_mut(row_bytes(self.vocabulary_size))
            .zip(logits.par_chunks(self.vocabulary_size).zip(softmaxes))
            .for_each(|(row, (logits, softmax))| encode(row, logits, *softmax));
        self.append(&bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), MeasureError> {
        self.file
            .write_all(bytes)
            .map_err(|source| MeasureError::Write { path: self.file.path().to_owned(), source })
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// If the disk is full or the place cannot be taken.
    pub fn finish(self) -> Result<(), MeasureError> {
        Ok(self.file.commit()?)
    }
}

/// One row, `[vocabulary]`, into its bytes.
fn encode(row: &mut [u8], logits: &[f32], softmax: Softmax) {
    let greatest = softmax.greatest;
    let least = logits.iter().copied().fold(greatest, |a, b| if b < a { b } else { a }).max(greatest - DEPTH);
    let scale = (greatest - least) / 65535.0;
    row[..4].copy_from_slice(&scale.to_le_bytes());
    row[4..ROW_HEAD].copy_from_slice(&(least - greatest - softmax.sum.ln() as f32).to_le_bytes());
    // all logits are the same: no steps, and the scale is zero
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (step, logit) in row[ROW_HEAD..].chunks_exact_mut(2).zip(logits) {
        let steps = (inverse * (logit - least).max(0.0)).round_ties_even();
        step.copy_from_slice(&(steps as u16).to_le_bytes());
    }
}

/// Reads a base file, ours or llama.cpp's, from its first row to its last.
#[derive(Debug)]
pub struct BaseReader {
    path: PathBuf,
    file: BufReader<File>,
    context: usize,
    vocabulary_size: usize,
    tokens: Vec<u32>,
}

impl BaseReader {
    /// Opens a file and reads what it says of the text.
    ///
    /// # Errors
    /// If it cannot be read, is something else, or was cut off.
    pub fn open(path: &Path) -> Result<Self, MeasureError> {
        let unreadable = |source| MeasureError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; HEADER_BYTES as usize];
        if found < HEADER_BYTES {
            return Err(MeasureError::NotABase { path: path.to_owned() });
        }
        file.read_exact(&mut header).map_err(unreadable)?;
        if !header.starts_with(MAGIC) {
            return Err(MeasureError::NotABase { path: path.to_owned() });
        }
        let size = |index: usize| {
            let bytes = &header[MAGIC.len() + 4 * index..][..4];
            i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let (context, vocabulary_size, chunks) = (size(0), size(1), size(2));
        if context < 4 || vocabulary_size < 1 || chunks < 1 {
            return Err(MeasureError::BaseHeader { path: path.to_owned(), context, vocabulary_size, chunks });
        }
        let (context, vocabulary_size, chunks) =
            (context as usize, vocabulary_size as usize, chunks as usize);
        let rows = (chunks * (context - 1 - context / 2)) as u64;
        let expected = u128::from(HEADER_BYTES)
            + 4 * (context as u128 * chunks as u128)
            + u128::from(rows) * row_bytes(vocabulary_size) as u128;
        if expected != u128::from(found) {
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            return Err(MeasureError::BaseLength { path: path.to_owned(), expected, found });
        }
        let mut bytes = vec![0; 4 * context * chunks];
        file.read_exact(&mut bytes).map_err(unreadable)?;
        let tokens = bytes.as_chunks::<4>().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        Ok(Self { path: path.to_owned(), file, context, vocabulary_size, tokens })
    }

    /// Tokens of a chunk.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How many chunks the file has.
    pub fn len(&self) -> usize {
        self.tokens.len() / self.context
    }

    /// Never: a file without chunks is refused.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The first chunks of the file's own text, for a model that has the parent's vocabulary.
    ///
    /// # Errors
    /// If the vocabulary has another size, or the text holds a token outside of it.
    pub fn chunks(&self, tokenizer: &Tokenizer, limit: Option<usize>) -> Result<Chunks, MeasureError> {
        self.check_vocabulary(tokenizer.tokens.len())?;
        Chunks::of_tokens(tokenizer, &self.tokens, self.context, limit)
    }

    /// Checks that the file was written for this text, by a model of this vocabulary.
    ///
    /// # Errors
    /// With the first thing that differs.
    pub fn check(&self, chunks: &Chunks, vocabulary_size: usize) -> Result<(), MeasureError> {
        let path = || self.path.clone();
        self.check_vocabulary(vocabulary_size)?;
        if self.context != chunks.context() {
            let (expected, found) = (chunks.context(), self.context);
            return Err(MeasureError::BaseContext { path: path(), expected, found });
        }
        let differs = chunks.tokens().zip(&self.tokens).position(|(expected, &found)| expected != found);
        if let Some(index) = differs {
            let (chunk, position) = (index / self.context, index % self.context);
            let expected = chunks.all[chunk].tokens[position];
            let found = self.tokens[index];
            return Err(MeasureError::BaseText { path: path(), chunk, position, expected, found });
        }
        let found = self.len();
        if found < chunks.len() {
            return Err(MeasureError::BaseChunks { path: path(), expected: chunks.len(), found });
        }
        Ok(())
    }

    fn check_vocabulary(&self, expected: usize) -> Result<(), MeasureError> {
        if self.vocabulary_size == expected {
            return Ok(());
        }
        Err(MeasureError::BaseVocabulary { path: self.path.clone(), expected, found: self.vocabulary_size })
    }

    /// The next rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<BaseRows, MeasureError> {
        let row_bytes = row_bytes(self.vocabulary_size);
        let mut bytes = vec![0; rows * row_bytes];
        self.file
            .read_exact(&mut bytes)
            .map_err(|source| MeasureError::Read { path: self.path.clone(), source })?;
        Ok(BaseRows { bytes, row_bytes, vocabulary_size: self.vocabulary_size })
    }
}

/// Rows as stored.
#[derive(Debug)]
pub(super) struct BaseRows {
    bytes: Vec<u8>,
    row_bytes: usize,
    vocabulary_size: usize,
}

impl BaseRows {
    /// The log-probabilities of a row, `[vocabulary]`.
    pub fn log_probabilities(&self, row: usize) -> Vec<f32> {
        let row = &self.bytes[row * self.row_bytes..][..self.row_bytes];
        let number = |at: usize| f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        let (scale, least) = (number(0), number(4));
        let steps = row[ROW_HEAD..].as_chunks::<2>().0.iter().take(self.vocabulary_size);
        steps.map(|&step| scale * f32::from(u16::from_le_bytes(step)) + least).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_to_half_a_step_and_no_deeper_than_sixteen() {
        let logits = [3.0_f32, -2.5, 7.25, 0.125, -40.0];
        let softmax = Softmax::of(&logits);
        let mut bytes = vec![0; row_bytes(logits.len())];
        encode(&mut bytes, &logits, softmax);
        assert_eq!(bytes.len(), 8 + 2 * 6, "an odd vocabulary is padded");
        let rows = BaseRows { row_bytes: bytes.len(), vocabulary_size: logits.len(), bytes };
        let stored = rows.log_probabilities(0);
        for (stored, logit) in stored.iter().zip(&logits[..4]) {
            assert!((f64::from(*stored) + softmax.loss(*logit)).abs() < 1.3e-4, "{stored}");
        }
        assert!(stored[4] <= FLOOR, "{stored:?}");
    }

    #[test]
    fn equal_logits_have_no_steps() {
        let logits = [1.5_f32; 4];
        let mut bytes = vec![0; row_bytes(4)];
        encode(&mut bytes, &logits, Softmax::of(&logits));
        let rows = BaseRows { row_bytes: bytes.len(), vocabulary_size: 4, bytes };
        assert!(rows.log_probabilities(0).iter().all(|&x| (x - 0.25_f32.ln()).abs() < 1e-6));
    }
}
