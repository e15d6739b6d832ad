//! The cache that huggingface_hub, llama.cpp and we share: `models--org--name/{blobs,refs,snapshots}`.

mod lock;
mod partial;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub(crate) use lock::FileLock;
pub(crate) use partial::Partial;
use secateur_model::ModelError;
use secateur_model::atomic_file::write_file;

use crate::remote::{BlobId, Commit};
use crate::{HubError, RepoId};

/// The folder of all models.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Where it is.
    pub folder: PathBuf,
    /// False to keep whole files in snapshots, where links cannot be made or are not wanted.
    pub symlinks: bool,
}

/// The part of the cache that belongs to one model.
#[derive(Debug, Clone)]
pub(crate) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl Cache {
    pub(crate) fn repo(&self, repo: &RepoId) -> RepoCache {
        let name = repo.cache_name();
        RepoCache {
            folder: self.folder.join(&name),
            locks: self.folder.join(".locks").join(&name),
            symlinks: self.symlinks,
        }
    }
}

impl RepoCache {
    pub(crate) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.folder.join("snapshots").join(commit.as_str())
    }

    pub(crate) fn blob(&self, blob: &BlobId) -> PathBuf {
        self.folder.join("blobs").join(blob.to_string())
    }

    /// The file that grows until it is a blob. Not the name that older versions of huggingface_hub go on with: theirs has no holes.
    fn partial(&self, blob: &BlobId) -> PathBuf {
        self.folder.join("blobs").join(format!("{blob}.secateur.incomplete"))
    }

    /// Opens, or begins, what has come of a blob.
    pub(crate) fn open_partial(&self, blob: &BlobId, size: u64) -> Result<Partial, HubError> {
        let path = self.partial(blob);
        create_parent(&path)?;
        Partial::open(&path, size).map_err(|source| HubError::Cache { path, source })
    }

    /// Bytes of a blob that came before.
    pub(crate) fn partial_bytes(&self, blob: &BlobId, size: u64) -> u64 {
        Partial::bytes_present(&self.partial(blob), size)
    }

    /// The commit that a branch, a tag or a commit stood for when somebody last asked.
    pub(crate) fn read_ref(&self, revision: &str) -> Option<Commit> {
        match fs::read_to_string(self.folder.join("refs").join(revision)) {
            Ok(text) => Commit::new(text.trim()),
            Err(_) => Commit::new(revision),
        }
    }

    /// Remembers the commit of a branch or a tag.
    pub(crate) fn write_ref(&self, revision: &str, commit: &Commit) -> Result<(), HubError> {
        if Commit::new(revision).is_some() || self.read_ref(revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        store(&path, commit.as_str().as_bytes())
    }

    /// Waits for nobody: `None` if another process holds the lock of this blob, as huggingface_hub locks it.
    pub(crate) fn try_lock(&self, blob: &BlobId) -> Result<Option<FileLock>, HubError> {
        let path = self.locks.join(format!("{blob}.lock"));
        create_parent(&path)?;
        FileLock::try_take(&path).map_err(|source| HubError::Cache { path, source })
    }

    /// True if a snapshot has this file, whole.
    pub(crate) fn has(&self, commit: &Commit, path: &str, size: u64) -> bool {
        fs::metadata(self.snapshot(commit).join(path))
            .is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// True if the bytes of a blob are there, whole.
    pub(crate) fn has_blob(&self, blob: &BlobId, size: u64) -> bool {
        fs::metadata(self.blob(blob)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Gives a blob its name in a snapshot. Where files can have one name only, a blob that `may_move` does.
    pub(crate) fn point(
        &self,
        commit: &Commit,
        path: &str,
        blob: &BlobId,
        may_move: bool,
    ) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(path);
        let unwritable = |source| HubError::Cache { path: pointer.clone(), source };
        create_parent(&pointer)?;
        match fs::remove_file(&pointer) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
        if self.symlinks && symlink(&relative_target(path, blob), &pointer).is_ok() {
            return Ok(());
        }
        let blob = self.blob(blob);
        if fs::hard_link(&blob, &pointer).is_ok() {
            return Ok(());
        }
        let moved_or_copied =
            if may_move { fs::rename(blob, &pointer) } else { copy_into_place(&blob, &pointer) };
        moved_or_copied.map_err(unwritable)
    }

    /// Every file of a snapshot with its size, sorted; links to nowhere are no files.
    pub(crate) fn files(&self, commit: &Commit) -> Vec<(String, u64)> {
        let mut files = Vec::new();
        collect_files(&self.snapshot(commit), "", &mut files);
        files.sort();
        files
    }
}

/// From a snapshot's file to its blob: `../../blobs/<id>`, and one step more for each folder that the file is in.
fn relative_target(path: &str, blob: &BlobId) -> PathBuf {
    let steps = 2 + path.matches('/').count();
    let mut target = PathBuf::from("../".repeat(steps));
    target.push("blobs");
    target.push(blob.to_string());
    target
}

#[cfg(unix)]
fn symlink(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn symlink(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, pointer)
}

/// A copy that appears whole.
fn copy_into_place(blob: &Path, pointer: &Path) -> io::Result<()> {
    let folder = pointer.parent().unwrap_or(Path::new("."));
    let copy = tempfile::Builder::new().prefix(".secateur-").suffix(".part").tempfile_in(folder)?;
    fs::copy(blob, copy.path())?;
    copy.persist(pointer).map_err(|error| error.error)?;
    Ok(())
}

/// Writes a small file, whole or not at all.
pub(crate) fn store(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    create_parent(path)?;
    write_file(path, bytes).map_err(|error| match error {
        ModelError::Io { path, source } => HubError::Cache { path, source },
        other => HubError::Cache { path: path.to_owned(), source: io::Error::other(other) },
    })
}

fn create_parent(path: &Path) -> Result<(), HubError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|source| HubError::Cache { path: folder.to_owned(), source })
}

fn collect_files(folder: &Path, prefix: &str, files: &mut Vec<(String, u64)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        // follows links
        let Ok(found) = fs::metadata(entry.path()) else { continue };
        let path = format!("{prefix}{name}");
        if found.is_file() {
            files.push((path, found.len()));
        } else if found.is_dir() && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_files(&entry.path(), &format!("{path}/"), files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelId;

    fn cache(symlinks: bool) -> (tempfile::TempDir, RepoCache, Commit, BlobId) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder: folder.path().to_owned(), symlinks };
        let repo = cache.repo(&"org/name".parse::<ModelId>().unwrap().repo);
        let blob = BlobId::new(&"a".repeat(40)).unwrap();
        create_parent(&repo.blob(&blob)).unwrap();
        fs::write(repo.blob(&blob), "bytes").unwrap();
        (folder, repo, Commit::new(&"c".repeat(40)).unwrap(), blob)
    }

    #[test]
    fn a_blob_is_found_under_its_name_by_link_or_copy() {
        for symlinks in [true, false] {
            let (_folder, repo, commit, blob) = cache(symlinks);
            for path in ["config.json", "deep/in/folders.txt"] {
                repo.point(&commit, path, &blob, false).unwrap();
                repo.point(&commit, path, &blob, false).unwrap();
                let pointer = repo.snapshot(&commit).join(path);
                assert_eq!(fs::read(&pointer).unwrap(), b"bytes");
                assert_eq!(fs::symlink_metadata(&pointer).unwrap().is_symlink(), symlinks && cfg!(unix));
                assert!(repo.has(&commit, path, 5) && !repo.has(&commit, path, 6));
            }
            let files = [("config.json".to_owned(), 5), ("deep/in/folders.txt".to_owned(), 5)];
            assert_eq!(repo.files(&commit), files);
        }
    }

    #[test]
    fn refs_are_remembered_and_a_commit_is_its_own() {
        let (_folder, repo, commit, _) = cache(true);
        assert_eq!(repo.read_ref("main"), None);
        for revision in ["main", "refs/pr/1"] {
            repo.write_ref(revision, &commit).unwrap();
            assert_eq!(repo.read_ref(revision).as_ref(), Some(&commit));
        }
        repo.write_ref(commit.as_str(), &commit).unwrap();
        assert!(!repo.folder.join("refs").join(commit.as_str()).exists());
        assert_eq!(repo.read_ref(commit.as_str()).as_ref(), Some(&commit));
    }
}
