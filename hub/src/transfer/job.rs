//! One blob while it is being fetched.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::{BlobHasher, Order, Task};
use crate::HubError;
use crate::cache::{FileLock, Partial};
use crate::remote::BlobId;

/// Bytes that are hashed at once.
const HASH_BYTES: usize = 1 << 20;

/// A blob with what has come of it, and the lock that keeps other processes from fetching it too.
#[derive(Debug)]
pub(super) struct Job {
    pub task: Task,
    pub partial: Partial,
    /// Pieces that are not whole.
    missing: AtomicUsize,
    check: Mutex<Check>,
    /// The bytes were wrong once.
    was_wrong: AtomicBool,
    _lock: FileLock,
}

/// How far the hash has got.
#[derive(Debug)]
struct Check {
    hasher: BlobHasher,
    /// The next piece to be hashed.
    next: usize,
}

/// What the hash of a whole blob says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// Wrong for the first time: all was forgotten, it can be fetched again.
    WrongOnce,
}

impl Job {
    pub(super) fn new(task: Task, partial: Partial, lock: FileLock) -> Self {
        let job = Self {
            check: Mutex::new(Check::new(&task)),
            task,
            partial,
            missing: AtomicUsize::new(0),
            was_wrong: AtomicBool::new(false),
            _lock: lock,
        };
        job.count_missing();
        job
    }

    /// Bytes that are there.
    pub(super) fn present(&self) -> u64 {
        (0..self.partial.pieces()).map(|piece| self.partial.present(piece)).sum()
    }

    /// The pieces that are not whole, in their order.
    pub(super) fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.partial.pieces()).filter(|&piece| !self.partial.is_whole(piece))
    }

    fn count_missing(&self) {
        self.missing.store(self.missing().count(), Ordering::Release);
    }

    /// Forgets all that has come. Only while one thread works on this job.
    pub(super) fn reset(&self) -> std::io::Result<()> {
        self.partial.reset()?;
        *self.lock_check() = Check::new(&self.task);
        self.count_missing();
        Ok(())
    }

    /// Counts a piece as whole; true if it was the last one.
    pub(super) fn piece_is_whole(&self) -> bool {
        self.missing.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Hashes what can be hashed by now, unless another thread is at it. The bytes come from the page cache: they were just written.
    pub(super) fn hash_on(&self) -> std::io::Result<()> {
        match self.check.try_lock() {
            Ok(mut check) => check.go_on(&self.partial),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().go_on(&self.partial),
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// Compares the hash of all bytes, and if it is right, gives the blob its name and the files theirs.
    pub(super) fn conclude(&self, order: &Order) -> Result<Verdict, HubError> {
        let file = &self.task.file;
        let blob = order.cache.blob(&file.blob);
        let unwritable = |source| HubError::Cache { path: blob.clone(), source };
        let found = self.hash().map_err(unwritable)?;
        if found == file.blob {
            self.partial.finish(&blob).map_err(unwritable)?;
            self.task.point(order, true)?;
            return Ok(Verdict::Right);
        }
        if self.was_wrong.swap(true, Ordering::AcqRel) {
            self.partial.discard().map_err(unwritable)?;
            return Err(HubError::WrongHash {
                file: file.path.clone(),
                expected: file.blob.to_string(),
                found: found.to_string(),
            });
        }
        self.reset().map_err(unwritable)?;
        Ok(Verdict::WrongOnce)
    }

    fn hash(&self) -> std::io::Result<BlobId> {
        let mut check = self.lock_check();
        check.go_on(&self.partial)?;
        Ok(check.hasher.clone().finish())
    }

    fn lock_check(&self) -> MutexGuard<'_, Check> {
        self.check.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    fn new(task: &Task) -> Self {
        Self { hasher: BlobHasher::new(&task.file.blob, task.file.size), next: 0 }
    }

    fn go_on(&mut self, partial: &Partial) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        while self.next < partial.pieces() && partial.is_whole(self.next) {
            let mut range = partial.range(self.next);
            buffer.resize(HASH_BYTES, 0);
            while range.start < range.end {
                let bytes = &mut buffer[..HASH_BYTES.min((range.end - range.start) as usize)];
                partial.read(range.start, bytes)?;
                self.hasher.update(bytes);
                range.start += bytes.len() as u64;
            }
            self.next += 1;
        }
        Ok(())
    }
}

impl Task {
    /// Gives the files of this blob their names; a new one belongs to nobody else.
    pub(super) fn point(&self, order: &Order, is_new: bool) -> Result<(), HubError> {
        for (number, path) in self.paths.iter().enumerate() {
            let is_last = number + 1 == self.paths.len();
            order.cache.point(order.commit, path, &self.file.blob, is_new && is_last)?;
        }
        Ok(())
    }
}
