//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::ModelError;

/// Tensors come in large pieces, headers in small ones.
const BUFFER_BYTES: usize = 1 << 20;

/// A file that is written beside its place and moved there by [`commit`](Self::commit). Dropped without that, it is
/// removed and whatever was in its place stays.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    content: BufWriter<File>,
    temporary: TempPath,
}

impl AtomicFile {
    /// Starts a file that will be at `path`; the folder must exist.
    ///
    /// # Errors
    /// When no file can be made in that folder.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, ModelError> {
        let path = path.into();
        let mut builder = tempfile::Builder::new();
        builder.prefix(".secateur-").suffix(".part");
        // temporary files are private by default, but this one will be a file like any other
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        match builder.tempfile_in(folder_of(&path)) {
            Ok(file) => {
                // taken apart, or its errors would name the temporary file, which is gone when they are read
                let (file, temporary) = file.into_parts();
                Ok(Self { path, content: BufWriter::with_capacity(BUFFER_BYTES, file), temporary })
            }
            Err(source) => Err(ModelError::Io { path, source }),
        }
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that all bytes are on the disk, then moves the file to its place.
    ///
    /// # Errors
    /// When the disk is full or the place cannot be taken; nothing is left behind then.
    pub fn commit(self) -> Result<(), ModelError> {
        let Self { path, content, temporary } = self;
        match persist(content, temporary, &path) {
            Ok(()) => Ok(()),
            Err(source) => Err(ModelError::Io { path, source }),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

/// Writes a whole small file.
///
/// # Errors
/// When it cannot be written; whatever was in its place stays then.
pub fn write_file(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<(), ModelError> {
    let mut file = AtomicFile::create(path)?;
    match file.write_all(bytes) {
        Ok(()) => file.commit(),
        Err(source) => Err(ModelError::Io { path: file.path, source }),
    }
}

fn persist(content: BufWriter<File>, temporary: TempPath, path: &Path) -> io::Result<()> {
    let file = content.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // the new name is safe only when the folder is; folders cannot be opened on Windows
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()?;
    }
    Ok(())
}

/// The folder that holds `path`, `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names_in(folder: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn the_old_file_stays_until_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(folder.path()), ["model.gguf"]);
    }

    #[test]
    fn an_abandoned_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(folder.path().join("model.gguf")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_place_that_is_taken_by_a_folder_is_an_error_that_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        fs::create_dir(&path).unwrap();
        assert!(matches!(write_file(&path, b"x"), Err(ModelError::Io { path: named, .. }) if named == path));
        assert_eq!(names_in(folder.path()), ["model.gguf"]);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let error = AtomicFile::create("/nowhere/at/all/model.gguf").unwrap_err();
        assert!(
            matches!(error, ModelError::Io { path, .. } if path == Path::new("/nowhere/at/all/model.gguf"))
        );
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_the_file_as_far_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "x").unwrap();
        let atomic = folder.path().join("atomic");
        write_file(&atomic, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&atomic), mode(&plain));
    }
}
