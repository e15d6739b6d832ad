//! The connections: each takes a blob, or a piece of a large one, until all are done or one has failed.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::job::{Job, Verdict};
use super::{Order, Task};
use crate::HubError;
use crate::cache::Partial;
use crate::patience::{Patience, TICK};
use crate::remote::{Answer, Failure};

/// Connections at once, as huggingface_hub has them.
const CONNECTIONS: usize = 8;

/// Bytes that are read from a connection at once.
const READ_BYTES: usize = 256 << 10;

/// Fetches the blobs of all tasks; gives back those that another process is fetching.
pub(super) fn run(order: &Order, tasks: Vec<Task>) -> Result<Vec<Task>, HubError> {
    let pool = Pool {
        order,
        state: Mutex::new(State { queue: tasks.into_iter().map(Work::Begin).collect(), ..State::default() }),
        changed: Condvar::new(),
        is_stopped: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| pool.work());
        }
        pool.watch();
    });
    let state = pool.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok(state.busy),
    }
}

struct Pool<'a> {
    order: &'a Order<'a>,
    state: Mutex<State>,
    changed: Condvar,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// Connections that are at work, and may add to the queue.
    active: usize,
    busy: Vec<Task>,
    failed: Option<HubError>,
}

enum Work {
    /// A blob of which nothing is known.
    Begin(Task),
    /// A blob from its first missing piece on; how the server answers decides whether others may help.
    First(Arc<Job>),
    /// A piece of a blob from a server that serves ranges.
    Piece(Arc<Job>, usize),
}

impl Pool<'_> {
    /// Stops everything once the user has had enough.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.is_over() {
            state = match self.changed.wait_timeout(state, TICK) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if self.order.progress.is_interrupted() {
                state.failed.get_or_insert(HubError::Interrupted);
            }
            if state.failed.is_some() {
                self.is_stopped.store(true, Ordering::Release);
                self.changed.notify_all();
                drop(state);
                // wakes those that wait for a silent server
                self.order.remote.close();
                return;
            }
        }
    }

    fn work(&self) {
        while let Some(work) = self.take() {
            let result = self.carry_out(work);
            let mut state = self.lock();
            state.active -= 1;
            if let Err(error) = result {
                state.failed.get_or_insert(error);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The next work; `None` if there is and will be none.
    fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.is_over() || state.failed.is_some() {
                return None;
            }
            if let Some(work) = state.queue.pop_front() {
                state.active += 1;
                return Some(work);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn carry_out(&self, work: Work) -> Result<(), HubError> {
        match work {
            Work::Begin(task) => match self.begin(task)? {
                Some(job) => self.fetch_first(&Arc::new(job)),
                None => Ok(()),
            },
            Work::First(job) => self.fetch_first(&job),
            Work::Piece(job, piece) => self.fetch_piece(&job, piece),
        }
    }

    /// Takes the lock of a blob and looks again what is there; `None` if there is nothing to fetch here and now.
    fn begin(&self, task: Task) -> Result<Option<Job>, HubError> {
        let (cache, progress) = (self.order.cache, self.order.progress);
        let (blob, size) = (task.file.blob, task.file.size);
        let Some(lock) = cache.try_lock(&blob)? else {
            self.lock().busy.push(task);
            return Ok(None);
        };
        if cache.has_blob(&blob, size) {
            progress.advance(size - task.present);
            return task.point(self.order, false).map(|()| None);
        }
        let job = Job::new(task, cache.open_partial(&blob, size)?, lock);
        // what another process brought since the plan was made
        progress.advance(job.present().saturating_sub(job.task.present));
        Ok(Some(job))
    }

    /// Works alone until the server has shown that it serves ranges, then shares the other pieces.
    fn fetch_first(&self, job: &Arc<Job>) -> Result<(), HubError> {
        let mut patience = Patience::default();
        loop {
            let Some(piece) = job.missing().next() else { return self.conclude(job) };
            let failure = match self.open(job, piece) {
                Ok(answer) if is_asked_for(job, piece, &answer) => {
                    self.share(job, piece);
                    match self.copy(job, answer, &mut patience) {
                        Ok(()) => return Ok(()),
                        Err(failure) if job.partial.pieces() == 1 => failure,
                        Err(failure) => {
                            self.endure(&mut patience, failure)?;
                            return self.fetch_piece(job, piece);
                        }
                    }
                }
                Ok(answer) => {
                    // the whole file, whatever was asked for
                    self.forget(job)?;
                    match self.copy(job, answer, &mut patience) {
                        Ok(()) => return Ok(()),
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            self.endure(&mut patience, failure)?;
        }
    }

    fn fetch_piece(&self, job: &Arc<Job>, piece: usize) -> Result<(), HubError> {
        let mut patience = Patience::default();
        loop {
            let failure = match self.open(job, piece) {
                Ok(answer) if is_asked_for(job, piece, &answer) => {
                    match self.copy(job, answer, &mut patience) {
                        Ok(()) => return Ok(()),
                        Err(failure) => failure,
                    }
                }
                Ok(_) => Failure::passing(cut(job, "it served ranges before and now does not")),
                Err(failure) => failure,
            };
            self.endure(&mut patience, failure)?;
        }
    }

    /// Asks for the rest of a piece.
    fn open(&self, job: &Job, piece: usize) -> Result<Answer, Failure> {
        let mut range = job.partial.range(piece);
        range.start += job.partial.present(piece);
        self.order.remote.open(self.order.repo, self.order.commit, &job.task.file, range)
    }

    /// Writes what comes, piece after piece.
    fn copy(&self, job: &Arc<Job>, mut answer: Answer, patience: &mut Patience) -> Result<(), Failure> {
        let mut buffer = vec![0; READ_BYTES];
        let mut at = answer.start;
        while at < answer.end {
            if self.is_stopped.load(Ordering::Acquire) {
                return Err(HubError::Interrupted.into());
            }
            let wanted = READ_BYTES.min((answer.end - at) as usize);
            let read = match answer.body.read(&mut buffer[..wanted]) {
                Ok(0) => Err("it ended early".to_owned()),
                Ok(read) => Ok(read),
                Err(error) => Err(error.to_string()),
            };
            let read = read.map_err(|reason| Failure::passing(cut(job, &reason)))?;
            self.order.progress.advance(read as u64);
            patience.renew();
            let mut bytes = &buffer[..read];
            while !bytes.is_empty() {
                let piece = Partial::piece_at(at);
                let end = job.partial.range(piece).end;
                let (now, later) = bytes.split_at(bytes.len().min((end - at) as usize));
                job.partial.append(piece, now).map_err(|source| self.unwritable(job, source))?;
                at += now.len() as u64;
                bytes = later;
                if at == end {
                    self.piece_is_whole(job)?;
                }
            }
        }
        Ok(())
    }

    fn piece_is_whole(&self, job: &Arc<Job>) -> Result<(), HubError> {
        if job.piece_is_whole() {
            return self.conclude(job);
        }
        job.hash_on().map_err(|source| self.unwritable(job, source))
    }

    /// Ends a job whose bytes are all there, or begins it anew.
    fn conclude(&self, job: &Arc<Job>) -> Result<(), HubError> {
        if job.conclude(self.order)? == Verdict::WrongOnce {
            let (path, size) = (&job.task.file.path, job.task.file.size);
            self.order.progress.note(&format!("`{path}` came with a wrong hash, fetching it once more"));
            self.order.progress.retreat(size);
            self.push(Work::First(job.clone()));
        }
        Ok(())
    }

    /// Gives the other missing pieces to whoever has time.
    fn share(&self, job: &Arc<Job>, own: usize) {
        let mut state = self.lock();
        let pieces: Vec<usize> = job.missing().filter(|&piece| piece != own).collect();
        // in front of other files, the first piece first: then the hash can follow
        for piece in pieces.into_iter().rev() {
            state.queue.push_front(Work::Piece(job.clone(), piece));
        }
        drop(state);
        self.changed.notify_all();
    }

    fn push(&self, work: Work) {
        self.lock().queue.push_back(work);
        self.changed.notify_all();
    }

    fn forget(&self, job: &Job) -> Result<(), HubError> {
        self.order.progress.retreat(job.present());
        job.reset().map_err(|source| self.unwritable(job, source))
    }

    fn endure(&self, patience: &mut Patience, failure: Failure) -> Result<(), HubError> {
        if self.is_stopped.load(Ordering::Acquire) {
            return Err(HubError::Interrupted);
        }
        patience.endure(failure, self.order.progress)
    }

    fn unwritable(&self, job: &Job, source: std::io::Error) -> HubError {
        HubError::Cache { path: self.order.cache.blob(&job.task.file.blob), source }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(job: &Job, reason: &str) -> HubError {
    HubError::Cut { file: job.task.file.path.clone(), reason: reason.to_owned() }
}

/// False for a server that knows no ranges and sends the whole file.
fn is_asked_for(job: &Job, piece: usize, answer: &Answer) -> bool {
    let range = job.partial.range(piece);
    (answer.start, answer.end) == (range.start + job.partial.present(piece), range.end)
}

impl State {
    fn is_over(&self) -> bool {
        self.queue.is_empty() && self.active == 0
    }
}
