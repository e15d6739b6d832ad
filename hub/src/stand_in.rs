//! A folder that stands in for a model whose weights stay on the Hub: descriptions are whole, of the weights only the headers are
//! there, read by range. The files have their true length and are empty behind the header, which takes no room on the disk.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use secateur_model::gguf::GgufHeader;
use tempfile::TempDir;

use crate::patience::retry;
use crate::plan::{Plan, PlannedFile};
use crate::remote::{Remote, RemoteFile};
use crate::select::{has_extension, is_weights};
use crate::{Hub, HubError, Progress};

/// First bytes of a safetensors file that are asked for: most headers are shorter.
const FIRST_BYTES: u64 = 128 << 10;

/// Bytes of a GGUF file that are asked for first; then twice as many each time: headers hold the vocabulary, a few megabytes.
const FIRST_WINDOW: u64 = 512 << 10;
const LARGEST_WINDOW: u64 = 8 << 20;

/// What safetensors readers allow for a header; a longer one is left to the reader to refuse.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Files whose headers are read at once.
const CONNECTIONS: usize = 8;

/// A tensor of a GGUF file whose values are part of what the model is.
const ROPE_FACTORS: &str = "rope_freqs.weight";
const MAX_ROPE_BYTES: u64 = 1 << 20;

/// Removed when dropped.
#[derive(Debug)]
pub struct StandIn {
    _folder: TempDir,
    model: PathBuf,
}

impl StandIn {
    /// The folder or the GGUF file to open, with `Checkpoint::open_headers`.
    pub fn model(&self) -> &Path {
        &self.model
    }
}

impl Hub<'_> {
    /// Reads the headers of a model's weights; its descriptions come into the cache, its weights do not.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn stand_in(&self, plan: &Plan, progress: &dyn Progress) -> Result<StandIn, HubError> {
        let cache = self.cache().repo(&plan.repo);
        self.bring(plan, &cache, |path| !is_weights(path), progress)?;
        let folder = tempfile::tempdir().map_err(|source| unwritable(&std::env::temp_dir(), source))?;
        // as in the cache, so that the model knows its name
        let snapshot =
            folder.path().join(plan.repo.cache_name()).join("snapshots").join(plan.commit.as_str());
        for file in plan.files.iter().filter(|file| !is_weights(&file.path)) {
            let target = place(&snapshot, &file.path)?;
            let source = cache.snapshot(&plan.commit).join(&file.path);
            fs::copy(source, &target).map_err(|source| unwritable(&target, source))?;
        }
        if let Some(remote) = self.remote() {
            read_headers(remote, plan, &snapshot, progress)?;
        }
        let model = plan.gguf.as_ref().map_or_else(|| snapshot.clone(), |gguf| snapshot.join(gguf));
        Ok(StandIn { _folder: folder, model })
    }
}

/// Reads the headers of all weights, several files at once.
fn read_headers(
    remote: &dyn Remote,
    plan: &Plan,
    snapshot: &Path,
    progress: &dyn Progress,
) -> Result<(), HubError> {
    let weights: Vec<&PlannedFile> = plan.files.iter().filter(|file| is_weights(&file.path)).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(weights.len()) {
            scope.spawn(|| {
                while let Some(file) = weights.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(remote_file) = &file.remote else { continue };
                    let source = Source { remote, plan, file: remote_file, progress };
                    if let Err(error) = source.stand_in(snapshot) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        next.store(weights.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// A file on the Hub, read by range.
struct Source<'a> {
    remote: &'a dyn Remote,
    plan: &'a Plan,
    file: &'a RemoteFile,
    progress: &'a dyn Progress,
}

impl Source<'_> {
    fn stand_in(&self, snapshot: &Path) -> Result<(), HubError> {
        let path = place(snapshot, &self.file.path)?;
        let mut file = File::create(&path).map_err(|source| unwritable(&path, source))?;
        if has_extension(&self.file.path, &["gguf"]) {
            self.gguf_header(&path, &mut file)?;
        } else {
            self.safetensors_header(&path, &mut file)?;
        }
        file.set_len(self.file.size).map_err(|source| unwritable(&path, source))
    }

    /// The length of the header stands in the first 8 bytes.
    fn safetensors_header(&self, path: &Path, file: &mut File) -> Result<(), HubError> {
        let mut bytes = self.read(0..FIRST_BYTES)?;
        let length = bytes.first_chunk().map_or(0, |&length| u64::from_le_bytes(length));
        let end = length.saturating_add(8).min(MAX_HEADER_BYTES);
        if end > bytes.len() as u64 {
            bytes.extend(self.read(bytes.len() as u64..end)?);
        }
        file.write_all(&bytes).map_err(|source| unwritable(path, source))
    }

    /// A GGUF header does not say how long it is: it is read until it ends.
    fn gguf_header(&self, path: &Path, file: &mut File) -> Result<(), HubError> {
        let mut window = Window {
            source: self,
            file,
            at: 0,
            bytes: io::Cursor::default(),
            next: FIRST_WINDOW,
            failed: None,
        };
        let header = GgufHeader::read(BufReader::new(&mut window), self.file.size);
        if let Some(error) = window.failed {
            return Err(error);
        }
        // what is wrong in the header is told by who opens the stand-in
        let Ok(header) = header else { return Ok(()) };
        let Some(rope) = header.tensors.iter().find(|tensor| tensor.name == ROPE_FACTORS) else {
            return Ok(());
        };
        let start = header.data_offset.saturating_add(rope.offset);
        let values = self.read(start..start.saturating_add(rope.bytes.min(MAX_ROPE_BYTES)))?;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.write_all(&values))
            .map_err(|source| unwritable(path, source))
    }

    /// Reads a range, as far as the file goes.
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, HubError> {
        let range = range.start.min(self.file.size)..range.end.min(self.file.size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        retry(self.remote, self.progress, || {
            let answer = self.remote.open(&self.plan.repo, &self.plan.commit, self.file, range.clone())?;
            let mut body = answer.body;
            let mut bytes = Vec::new();
            // a server that knows no ranges starts at the beginning
            io::copy(&mut (&mut body).take(range.start - answer.start), &mut io::sink())
                .and_then(|_| body.take(range.end - range.start).read_to_end(&mut bytes))
                .and_then(|read| {
                    let is_whole = read as u64 == range.end - range.start;
                    if is_whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
                })
                .map_err(|error| {
                    let (file, reason) = (self.file.path.clone(), error.to_string());
                    crate::Failure::passing(HubError::Cut { file, reason })
                })?;
            Ok(bytes)
        })
    }
}

/// Reads a file on the Hub from front to back in growing ranges, and keeps what it read.
struct Window<'a> {
    source: &'a Source<'a>,
    file: &'a mut File,
    at: u64,
    bytes: io::Cursor<Vec<u8>>,
    next: u64,
    failed: Option<HubError>,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.position() == self.bytes.get_ref().len() as u64 {
            let bytes = match self.source.read(self.at..self.at + self.next) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            };
            self.file.write_all(&bytes)?;
            self.at += bytes.len() as u64;
            self.next = (self.next * 2).min(LARGEST_WINDOW);
            self.bytes = io::Cursor::new(bytes);
        }
        self.bytes.read(buffer)
    }
}

/// A file's place in the stand-in, its folder made.
fn place(snapshot: &Path, path: &str) -> Result<PathBuf, HubError> {
    let place = snapshot.join(path);
    let folder = place.parent().unwrap_or(snapshot);
    fs::create_dir_all(folder).map_err(|source| unwritable(folder, source))?;
    Ok(place)
}

fn unwritable(path: &Path, source: io::Error) -> HubError {
    HubError::Temporary { path: path.to_owned(), source }
}
