//! SHA-256 of files, for run.json and SHA256SUMS.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::CompressError;
use crate::progress::Progress;

/// Size and SHA-256 of a file; `progress` counts bytes.
pub(crate) fn sha256_file(path: &Path, progress: &dyn Progress) -> Result<(u64, String), CompressError> {
    let unreadable = |source| CompressError::Write { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        progress.check()?;
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
                progress.advance(read as u64);
            }
        }
    }
    Ok((bytes, hexadecimal(&hasher.finalize())))
}

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // writing to a String cannot fail
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// A line for every file below `folder`, as `sha256sum --check` reads them, sorted by name.
pub(crate) fn sha256_sums(folder: &Path, progress: &dyn Progress) -> Result<String, CompressError> {
    let mut files = Vec::new();
    list_files(folder, &mut files)?;
    files.sort();
    progress.begin("hashing", sizes(&files));
    let mut sums = String::new();
    for path in files {
        let (_, digits) = sha256_file(&path, progress)?;
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let _ = writeln!(sums, "{digits}  {name}");
    }
    Ok(sums)
}

/// Bytes of files; those that cannot be asked count nothing.
pub(crate) fn sizes(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CompressError> {
    let unreadable = |source| CompressError::Write { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            list_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
