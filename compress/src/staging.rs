//! The folder in which an artifact grows before it appears in its place, whole.

use std::io;
use std::path::{Path, PathBuf};

use secateur_model::Checkpoint;
use tempfile::TempDir;

use crate::CompressError;
use crate::artifact::{GGUF_NAME, RUN_NAME};

/// A folder beside the artifact's place; removed with all it holds unless it is finished.
pub(crate) struct Staging {
    folder: TempDir,
    place: PathBuf,
    // after `folder`, which must be gone before they are empty
    _parents: NewFolders,
}

/// Folders that were made on the way, the innermost first; removed again if they are still empty at the end.
struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Makes `folder` and what it lies in.
    fn make(folder: &Path) -> io::Result<Self> {
        let missing =
            folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        std::fs::create_dir_all(folder)?;
        Ok(made)
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // refused when it holds something, as an artifact that was finished
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Staging {
    /// Checks that `place` may be taken: it does not exist, is empty, or holds an earlier artifact.
    pub(crate) fn begin(place: &Path, checkpoint: &Checkpoint) -> Result<Self, CompressError> {
        let unwritable = |source| CompressError::Write { path: place.to_owned(), source };
        if holds_something_else(place).map_err(unwritable)? {
            return Err(CompressError::FolderTaken { path: place.to_owned() });
        }
        if is_source(place, checkpoint) {
            return Err(CompressError::FolderIsSource { path: place.to_owned() });
        }
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parents = NewFolders::make(parent).map_err(unwritable)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".secateur-");
        // private by default, but this one will be a folder like any other
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(parent).map_err(unwritable)?;
        Ok(Self { folder, place: place.to_owned(), _parents: parents })
    }

    /// Where the artifact grows.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes one small file of the artifact.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CompressError> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).map_err(|source| CompressError::Write { path, source })
    }

    /// Moves the artifact to its place; an earlier one there is removed only after that succeeded.
    pub(crate) fn finish(self) -> Result<PathBuf, CompressError> {
        let place = self.place;
        let unwritable = |source| CompressError::Write { path: place.clone(), source };
        let grown = self.folder.path();
        let earlier = grown.with_extension("earlier");
        let replaces = place.exists();
        if replaces {
            std::fs::rename(&place, &earlier).map_err(unwritable)?;
        }
        if let Err(error) = std::fs::rename(grown, &place) {
            if replaces {
                // put back what was there; if even that fails, it still stands beside its place
                let _ = std::fs::rename(&earlier, &place);
            }
            return Err(unwritable(error));
        }
        // it stands in its place now: nothing is left to remove
        let _ = self.folder.keep();
        if replaces {
            std::fs::remove_dir_all(&earlier).map_err(unwritable)?;
        }
        Ok(place)
    }
}

/// True if the place is taken by something that is not an artifact of ours.
fn holds_something_else(place: &Path) -> io::Result<bool> {
    match std::fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(true),
        Err(error) => Err(error),
        Ok(mut entries) => {
            let is_artifact = place.join(GGUF_NAME).is_file() && place.join(RUN_NAME).is_file();
            Ok(entries.next().is_some() && !is_artifact)
        }
    }
}

/// True if the source lies in the place, so that it would be replaced by what is made of it.
fn is_source(place: &Path, checkpoint: &Checkpoint) -> bool {
    let Ok(place) = place.canonicalize() else { return false };
    checkpoint.weight_files().any(|file| file.canonicalize().is_ok_and(|file| file.starts_with(&place)))
}
