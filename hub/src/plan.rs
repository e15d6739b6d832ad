//! What a pull will do, before it does anything.

use secateur_model::HubSource;

use crate::remote::{Commit, RemoteFile};
use crate::{HubError, RepoId};

/// The files that are wanted and how much of them is in the cache.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Model, revision and the commit that this is.
    pub source: HubSource,
    /// In the order of their names.
    pub files: Vec<PlannedFile>,
    /// The GGUF file to open, if that is what was chosen; else it is the folder.
    pub gguf: Option<String>,
    /// Pickles that match the user's patterns and are left out.
    pub pickles: Vec<String>,
    /// Why the cache was asked and not the Hub, if the Hub should have been.
    pub unreachable: Option<String>,
    pub(crate) repo: RepoId,
    pub(crate) commit: Commit,
}

/// One file.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// With `/` between folders.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Bytes that are there; all of them, or those that an earlier run left.
    pub present: u64,
    /// True if nothing has to be fetched.
    pub is_cached: bool,
    /// As the Hub lists it; files that only the cache lists have no need of that.
    pub(crate) remote: Option<RemoteFile>,
    /// The whole file, if it had to be read already.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl Plan {
    /// True if nothing has to be fetched.
    pub fn is_cached(&self) -> bool {
        self.files.iter().all(|file| file.is_cached)
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes that have to come.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.is_cached).map(|file| file.size - file.present).sum()
    }
}

/// Says of an error that comes from the cache's view of a model what it means offline.
pub(crate) fn as_cached(error: HubError, revision: &str) -> HubError {
    let partly = |repo, file| HubError::PartlyCached { repo, revision: revision.to_owned(), file };
    match error {
        HubError::MissingShard { repo, file } | HubError::NoSuchFile { repo, file, .. } => partly(repo, file),
        HubError::NoWeights { repo } | HubError::OnlyPickle { repo, .. } => {
            partly(repo, "model.safetensors".to_owned())
        }
        other => other,
    }
}
