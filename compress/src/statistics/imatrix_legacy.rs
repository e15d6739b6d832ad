//! The format of llama-imatrix before GGUF, which many published `.dat` files have.
//!
//! Little-endian: the number of entries; of each the length of its name, the name, `calls`, the number of values, the values as
//! `E[x²] * calls`; then the number of sequences, the length of the text's name, the name. Numbers are `i32`, values `f32`.

use super::{Imatrix, ImatrixEntry};

/// Reads the whole file; says what is wrong with it.
pub(super) fn parse_legacy(bytes: &[u8]) -> Result<Imatrix, String> {
    let mut reader = Reader(bytes);
    let mut imatrix = Imatrix::default();
    for _ in 0..reader.length()? {
        let name = reader.text()?;
        let calls = reader.length()?;
        let values = reader.length()?;
        let values = reader.take(values.checked_mul(4).ok_or_else(too_short)?)?;
        // no calls: llama-quantize takes the values as they are
        let divisor = calls.max(1) as f32;
        let mean_squares = values.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number) / divisor);
        let entry = ImatrixEntry { mean_squares: mean_squares.collect(), count: calls as u64 };
        imatrix.entries.insert(name, entry);
    }
    // files from before these were added end here
    if !reader.0.is_empty() {
        imatrix.chunk_count = reader.length()? as u32;
        imatrix.datasets.push(reader.text()?);
    }
    Ok(imatrix)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, String> {
        let bytes = self.take(4)?;
        let number = bytes.first_chunk().copied().map_or(-1, i32::from_le_bytes);
        usize::try_from(number)
            .map_err(|_| format!("it is neither GGUF nor of the old format: a length of {number}"))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.length()?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}

fn too_short() -> String {
    "it ends too early, or is neither GGUF nor of the old format".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_cut_anywhere_and_other_files_are_refused() {
        let whole = include_bytes!("../../../tests/golden/imatrix/demo.dat");
        assert_eq!(parse_legacy(whole).unwrap().entries.len(), 28);
        let without_trailer = whole.len() - 8 - "tests/data/judge.txt".len();
        for length in (0..whole.len()).step_by(97).filter(|&length| length < without_trailer - 200) {
            assert!(parse_legacy(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(parse_legacy(&[255; 64]).is_err());
    }
}
