//! Asking the Hub and the cache, and bringing into the cache what is missing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use secateur_model::HubSource;

use crate::cache::{Cache, RepoCache, store};
use crate::patience::{retry, retry_unless};
use crate::plan::{Plan, PlannedFile, as_cached};
use crate::remote::{Commit, Failure, Remote, RemoteFile};
use crate::select::{Selected, Selection, select};
use crate::transfer::{self, BlobHasher, Order, Task};
use crate::{HubError, ModelId, Progress};

/// Tells backup programs that the cache need not be kept, as huggingface_hub does (bford.info/cachedir).
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n";

/// The Hub as seen from here: the cache, and unless we are offline, the remote.
pub struct Hub<'a> {
    remote: Option<&'a dyn Remote>,
    cache: Cache,
}

impl<'a> Hub<'a> {
    /// Without a remote, everything is answered from the cache.
    pub fn new(remote: Option<&'a dyn Remote>, cache: Cache) -> Self {
        Self { remote, cache }
    }

    /// Finds out which files are wanted and which of them have to be fetched. Writes nothing.
    ///
    /// # Errors
    /// When the model, the revision or the files are not there, and when neither Hub nor cache can tell.
    pub fn plan(
        &self,
        id: &ModelId,
        selection: &Selection,
        progress: &dyn Progress,
    ) -> Result<Plan, HubError> {
        let from_cache = self.plan_from_cache(id, selection);
        let Some(remote) = self.remote else { return from_cache };
        match plan_online(remote, &self.cache, id, selection, from_cache.is_ok(), progress) {
            Err(HubError::Unreachable { host, reason }) => match from_cache {
                Ok(plan) => Ok(Plan { unreachable: Some(format!("{host}: {reason}")), ..plan }),
                Err(_) => Err(HubError::Unreachable { host, reason }),
            },
            other => other,
        }
    }

    fn plan_from_cache(&self, id: &ModelId, selection: &Selection) -> Result<Plan, HubError> {
        let cache = self.cache.repo(&id.repo);
        let not_cached = || HubError::NotCached {
            repo: id.repo.to_string(),
            revision: id.revision.clone(),
            cache: self.cache.folder.clone(),
        };
        let commit = cache.read_ref(&id.revision).ok_or_else(not_cached)?;
        let listed = cache.files(&commit);
        if listed.is_empty() {
            return Err(not_cached());
        }
        let paths: Vec<String> = listed.iter().map(|(path, _)| path.clone()).collect();
        let snapshot = cache.snapshot(&commit);
        let mut read = |path: &str| read_cached(&snapshot.join(path));
        let repo = id.repo.to_string();
        let selected = select(&repo, &paths, id.file.as_deref(), selection, &mut read)
            .map_err(|error| as_cached(error, &id.revision))?;
        let sizes: BTreeMap<&str, u64> = listed.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let file = |path: &String| {
            let size = sizes.get(path.as_str()).copied().unwrap_or_default();
            PlannedFile {
                path: path.clone(),
                size,
                present: size,
                is_cached: true,
                remote: None,
                bytes: None,
            }
        };
        let files = selected.paths.iter().map(file).collect();
        Ok(plan_of(id, commit, selected, files))
    }

    /// Fetches what the plan says is missing. Gives the snapshot's folder.
    ///
    /// # Errors
    /// When something cannot be fetched or written; what has come is kept for the next time.
    pub fn fetch(&self, plan: &Plan, progress: &dyn Progress) -> Result<PathBuf, HubError> {
        let cache = self.cache.repo(&plan.repo);
        self.bring(plan, &cache, |_| true, progress)?;
        let named = cache.write_ref(&plan.source.revision, &plan.commit);
        if !plan.is_cached() {
            named?;
        }
        // else a cache that cannot be written is as good as one that can
        Ok(cache.snapshot(&plan.commit))
    }

    /// Fetches those missing files of a plan that are wanted.
    pub(crate) fn bring(
        &self,
        plan: &Plan,
        cache: &RepoCache,
        is_wanted: impl Fn(&str) -> bool,
        progress: &dyn Progress,
    ) -> Result<(), HubError> {
        let missing: Vec<&PlannedFile> =
            plan.files.iter().filter(|file| !file.is_cached && is_wanted(&file.path)).collect();
        let (Some(remote), false) = (self.remote, missing.is_empty()) else { return Ok(()) };
        let tasks = tasks(&missing, cache);
        check_space(&self.cache.folder, tasks.iter().map(|task| task.file.size - task.present).sum())?;
        tag_cache(&self.cache.folder)?;
        progress.begin(
            tasks.iter().map(|task| task.file.size).sum(),
            tasks.iter().map(|task| task.present).sum(),
        );
        for file in &missing {
            store_bytes(file, cache)?;
        }
        let order = Order { remote, repo: &plan.repo, commit: &plan.commit, cache, progress };
        transfer::run(&order, tasks)
    }

    pub(crate) fn remote(&self) -> Option<&'a dyn Remote> {
        self.remote
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }
}

fn plan_online(
    remote: &dyn Remote,
    cache: &Cache,
    id: &ModelId,
    selection: &Selection,
    can_do_without: bool,
    progress: &dyn Progress,
) -> Result<Plan, HubError> {
    let commit = match Commit::new(&id.revision) {
        Some(commit) => commit,
        None => ask(can_do_without, remote, progress, || remote.commit(&id.repo, &id.revision))?,
    };
    let listed = ask(can_do_without, remote, progress, || remote.list(&id.repo, &commit))?;
    let cache = cache.repo(&id.repo);
    let by_path: BTreeMap<&str, &RemoteFile> = listed.iter().map(|file| (file.path.as_str(), file)).collect();
    let paths: Vec<String> = listed.iter().map(|file| file.path.clone()).collect();
    let mut in_hand: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut read = |path: &str| {
        let Some(&file) = by_path.get(path) else { return Ok(Vec::new()) };
        if cache.has_blob(&file.blob, file.size) {
            return read_cached(&cache.blob(&file.blob));
        }
        let bytes = read_whole(remote, id, &commit, file, progress)?;
        in_hand.insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    };
    let repo = id.repo.to_string();
    let selected = select(&repo, &paths, id.file.as_deref(), selection, &mut read)?;
    let file = |path: &String| {
        let file = (*by_path.get(path.as_str())?).clone();
        let is_cached = cache.has(&commit, path, file.size);
        let is_here = is_cached || cache.has_blob(&file.blob, file.size);
        let present = if is_here { file.size } else { cache.partial_bytes(&file.blob, file.size) };
        let bytes = in_hand.remove(path);
        Some(PlannedFile {
            path: path.clone(),
            size: file.size,
            present,
            is_cached,
            remote: Some(file),
            bytes,
        })
    };
    let files = selected.paths.iter().filter_map(file).collect();
    Ok(plan_of(id, commit, selected, files))
}

fn plan_of(id: &ModelId, commit: Commit, selected: Selected, files: Vec<PlannedFile>) -> Plan {
    Plan {
        source: HubSource {
            repo: id.repo.to_string(),
            revision: id.revision.clone(),
            commit: commit.to_string(),
        },
        files,
        gguf: selected.gguf,
        pickles: selected.pickles,
        unreachable: None,
        repo: id.repo.clone(),
        commit,
    }
}

/// Asks until there is an answer; where the cache has one too, a Hub that cannot be reached is not asked twice.
fn ask<T>(
    can_do_without: bool,
    remote: &dyn Remote,
    progress: &dyn Progress,
    attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, HubError> {
    let enough = |error: &HubError| can_do_without && matches!(error, HubError::Unreachable { .. });
    retry_unless(enough, remote, progress, attempt)
}

/// Reads a small file into memory and checks its hash.
fn read_whole(
    remote: &dyn Remote,
    id: &ModelId,
    commit: &Commit,
    file: &RemoteFile,
    progress: &dyn Progress,
) -> Result<Vec<u8>, HubError> {
    retry(remote, progress, || {
        let answer = remote.open(&id.repo, commit, file, 0..file.size)?;
        let mut bytes = Vec::new();
        let cut = |reason| Failure::passing(HubError::Cut { file: file.path.clone(), reason });
        // one byte more than it should have is as wrong as one less
        answer.body.take(file.size + 1).read_to_end(&mut bytes).map_err(|error| cut(error.to_string()))?;
        let found = BlobHasher::of(&file.blob, file.size, &bytes);
        if found == file.blob {
            return Ok(bytes);
        }
        Err(Failure::passing(HubError::WrongHash {
            file: file.path.clone(),
            expected: file.blob.to_string(),
            found: found.to_string(),
        }))
    })
}

/// Files of the same bytes are one task.
fn tasks(missing: &[&PlannedFile], cache: &RepoCache) -> Vec<Task> {
    let mut tasks: BTreeMap<_, Task> = BTreeMap::new();
    for file in missing {
        let Some(remote) = &file.remote else { continue };
        let task = tasks.entry(remote.blob).or_insert_with(|| Task {
            file: remote.clone(),
            paths: Vec::new(),
            present: if cache.has_blob(&remote.blob, remote.size) { remote.size } else { file.present },
        });
        task.paths.push(file.path.clone());
    }
    let mut tasks: Vec<Task> = tasks.into_values().collect();
    // in the order of their names, so that what users see is not the order of hashes
    tasks.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    tasks
}

/// Keeps a file that was read whole as a blob; the task that wants it will find it.
fn store_bytes(file: &PlannedFile, cache: &RepoCache) -> Result<(), HubError> {
    let (Some(bytes), Some(remote)) = (&file.bytes, &file.remote) else { return Ok(()) };
    store(&cache.blob(&remote.blob), bytes)
}

/// Refuses before the first byte what does not fit.
fn check_space(folder: &Path, needed: u64) -> Result<(), HubError> {
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    let free = existing.and_then(|existing| fs4::available_space(existing).ok());
    match free {
        Some(free) if free < needed => Err(HubError::DiskTooSmall { path: folder.to_owned(), needed, free }),
        // a system that does not tell will say so when the disk is full
        _ => Ok(()),
    }
}

fn tag_cache(folder: &Path) -> Result<(), HubError> {
    let tag = folder.join("CACHEDIR.TAG");
    if tag.exists() { Ok(()) } else { store(&tag, CACHE_TAG) }
}

fn read_cached(path: &Path) -> Result<Vec<u8>, HubError> {
    fs::read(path).map_err(|source| HubError::CacheUnreadable { path: path.to_owned(), source })
}
