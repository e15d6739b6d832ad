//! Blobs on their way into the cache: several at once, large ones in pieces, each checked by its hash.

mod digest;
mod job;
mod pool;

pub(crate) use digest::BlobHasher;

use crate::cache::RepoCache;
use crate::patience::{TICK, pause};
use crate::remote::{Commit, Remote, RemoteFile};
use crate::{HubError, Progress, RepoId};

/// What all tasks have in common.
pub(crate) struct Order<'a> {
    pub remote: &'a dyn Remote,
    pub repo: &'a RepoId,
    pub commit: &'a Commit,
    pub cache: &'a RepoCache,
    pub progress: &'a dyn Progress,
}

/// A blob to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// One of the files that have these bytes.
    pub file: RemoteFile,
    /// All of them.
    pub paths: Vec<String>,
    /// Bytes that were there when the progress began.
    pub present: u64,
}

/// Carries out all tasks. What another process is fetching is waited for, and taken from the cache if that process succeeds.
pub(crate) fn run(order: &Order, tasks: Vec<Task>) -> Result<(), HubError> {
    let mut tasks = pool::run(order, tasks)?;
    if let Some(task) = tasks.first() {
        order.progress.note(&format!("waiting for another process that fetches `{}`", task.file.path));
    }
    while !tasks.is_empty() {
        wait_for_any(order, &tasks)?;
        tasks = pool::run(order, tasks)?;
    }
    Ok(())
}

/// Waits until one of the blobs is no longer being fetched by somebody else.
fn wait_for_any(order: &Order, tasks: &[Task]) -> Result<(), HubError> {
    loop {
        pause(TICK * 2, order.progress)?;
        for task in tasks {
            if order.cache.try_lock(&task.file.blob)?.is_some() {
                return Ok(());
            }
        }
    }
}
