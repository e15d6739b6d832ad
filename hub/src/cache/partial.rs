//! A file that comes in pieces, in any order, and a ledger beside it of what has come. Both are right whenever the process may end:
//! bytes are written before the ledger counts them, and the hash of the whole is checked in the end anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Large files are fetched in pieces of this many bytes: enough that asking costs little, few enough that all connections have work.
pub(crate) const PIECE_BYTES: u64 = 32 << 20;

/// First bytes of a ledger, before the length of a piece: another layout gets another text.
const MAGIC: [u8; 8] = *b"secaled1";

/// Bytes before the first count.
const HEAD_BYTES: u64 = 16;

/// A blob that is not whole yet.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    data: File,
    ledger: File,
    size: u64,
    /// Bytes of each piece that are there, from its start.
    present: Vec<AtomicU64>,
}

impl Partial {
    /// Opens what came before, or begins anew.
    pub(crate) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let counts = read_ledger(path, size);
        if counts.is_none() {
            // a ledger must never speak of bytes of an earlier file
            remove_if_there(&ledger_path(path))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let (data, ledger) = (options.open(path)?, options.open(ledger_path(path))?);
        let present = counts.unwrap_or_else(|| vec![0; piece_count(size)]);
        let partial = Self {
            path: path.to_owned(),
            data,
            ledger,
            size,
            present: present.into_iter().map(AtomicU64::new).collect(),
        };
        let head = [MAGIC, PIECE_BYTES.to_le_bytes()].concat();
        write_at(&partial.ledger, &head, 0)?;
        Ok(partial)
    }

    /// Bytes that an earlier run left, without touching anything.
    pub(crate) fn bytes_present(path: &Path, size: u64) -> u64 {
        read_ledger(path, size).map_or(0, |counts| counts.iter().sum())
    }

    /// The number of pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.present.len()
    }

    /// The piece that a byte of the file is in.
    pub(crate) fn piece_at(offset: u64) -> usize {
        (offset / PIECE_BYTES) as usize
    }

    /// Where a piece lies in the file.
    pub(crate) fn range(&self, piece: usize) -> Range<u64> {
        piece_range(piece, self.size)
    }

    /// Bytes of a piece that are there.
    pub(crate) fn present(&self, piece: usize) -> u64 {
        self.present[piece].load(Ordering::Acquire)
    }

    /// True if all bytes of a piece are there.
    pub(crate) fn is_whole(&self, piece: usize) -> bool {
        let range = self.range(piece);
        self.present(piece) == range.end - range.start
    }

    /// Appends to a piece. Only one thread at a time writes to the same piece.
    pub(crate) fn append(&self, piece: usize, bytes: &[u8]) -> io::Result<()> {
        let present = self.present(piece);
        write_at(&self.data, bytes, self.range(piece).start + present)?;
        self.count(piece, present + bytes.len() as u64)
    }

    /// Forgets what has come.
    pub(crate) fn reset(&self) -> io::Result<()> {
        (0..self.pieces()).try_for_each(|piece| self.count(piece, 0))
    }

    /// Reads bytes that are there.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        read_exact_at(&self.data, bytes, offset)
    }

    /// Moves the whole file to its place.
    pub(crate) fn finish(&self, place: &Path) -> io::Result<()> {
        // the name promises that the bytes are right, also after a power failure
        self.data.sync_all()?;
        fs::rename(&self.path, place)?;
        // without its file a ledger means nothing, so it may also stay
        let _ = fs::remove_file(ledger_path(&self.path));
        Ok(())
    }

    /// Removes all traces.
    pub(crate) fn discard(&self) -> io::Result<()> {
        remove_if_there(&ledger_path(&self.path))?;
        remove_if_there(&self.path)
    }

    fn count(&self, piece: usize, bytes: u64) -> io::Result<()> {
        write_at(&self.ledger, &bytes.to_le_bytes(), HEAD_BYTES + piece as u64 * 8)?;
        self.present[piece].store(bytes, Ordering::Release);
        Ok(())
    }
}

fn piece_count(size: u64) -> usize {
    size.div_ceil(PIECE_BYTES) as usize
}

fn piece_range(piece: usize, size: u64) -> Range<u64> {
    let start = piece as u64 * PIECE_BYTES;
    start..size.min(start + PIECE_BYTES)
}

fn ledger_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ledger");
    name.into()
}

/// The bytes of each piece that are there; `None` if there is no ledger that fits the file.
fn read_ledger(path: &Path, size: u64) -> Option<Vec<u64>> {
    let length = fs::metadata(path).ok()?.len();
    let expected = HEAD_BYTES + piece_count(size) as u64 * 8;
    let mut ledger = Vec::new();
    File::open(ledger_path(path)).ok()?.take(expected).read_to_end(&mut ledger).ok()?;
    let (head, counts) = ledger.split_at_checked(HEAD_BYTES as usize)?;
    if head != [MAGIC, PIECE_BYTES.to_le_bytes()].concat() {
        return None;
    }
    // counts that were never written are 0
    let mut present: Vec<u64> = counts.as_chunks().0.iter().map(|&count| u64::from_le_bytes(count)).collect();
    present.resize(piece_count(size), 0);
    for (piece, &count) in present.iter().enumerate() {
        let range = piece_range(piece, size);
        let is_possible = count <= range.end - range.start && (count == 0 || range.start + count <= length);
        if !is_possible {
            return None;
        }
    }
    Some(present)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        offset += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 2 * PIECE_BYTES + 100;

    #[test]
    fn what_has_come_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let partial = Partial::open(&path, SIZE).unwrap();
        assert_eq!(partial.pieces(), 3);
        partial.append(2, b"last").unwrap();
        partial.append(0, b"one").unwrap();
        partial.append(0, b"two").unwrap();
        drop(partial);
        assert_eq!(Partial::bytes_present(&path, SIZE), 10);
        let partial = Partial::open(&path, SIZE).unwrap();
        assert_eq!([0, 1, 2].map(|piece| partial.present(piece)), [6, 0, 4]);
        let mut bytes = [0; 6];
        partial.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"onetwo");
        partial.reset().unwrap();
        assert_eq!(Partial::bytes_present(&path, SIZE), 0);
    }

    #[test]
    fn a_ledger_that_does_not_fit_its_file_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let begin = || {
            let partial = Partial::open(&path, SIZE).unwrap();
            partial.append(0, b"bytes").unwrap();
        };
        begin();
        fs::remove_file(&path).unwrap();
        assert_eq!(Partial::open(&path, SIZE).unwrap().present(0), 0);
        begin();
        fs::write(&path, "byt").unwrap();
        assert_eq!(Partial::open(&path, SIZE).unwrap().present(0), 0);
        begin();
        fs::write(ledger_path(&path), "nonsense and more nonsense").unwrap();
        assert_eq!(Partial::open(&path, SIZE).unwrap().present(0), 0);
    }

    #[test]
    fn a_ledger_cut_anywhere_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        Partial::open(&path, SIZE).unwrap().append(0, b"bytes").unwrap();
        let whole = fs::read(ledger_path(&path)).unwrap();
        for keep in 0..whole.len() {
            fs::write(ledger_path(&path), &whole[..keep]).unwrap();
            let partial = Partial::open(&path, SIZE).unwrap();
            assert_eq!(partial.present(0), if keep < 24 { 0 } else { 5 }, "{keep}");
        }
    }
}
