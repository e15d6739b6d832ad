//! What was measured, on disk: an append-only log that a search asks before it asks anyone else.
//!
//! A study is a file of lines. The first says what it is of; each other one holds a plan's values on some chunks, and stands for itself: a line that was
//! damaged, or cut off when the process was killed, is left out and the rest is used. A search that is run again asks the same
//! questions and finds the answers here, so that it goes on where it was.

mod header;
mod line;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Genome, Space, StudyError};
use header::Header;
use line::Exact;

/// Values of a plan on the chunks from `from` on, and the seconds that passed since the answer before, or since the run began.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    plan: Genome,
    from: usize,
    values: Vec<Exact>,
    took: Exact,
}

/// Lines of a study that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Number of the first, counted from 1.
    pub first_line: usize,
    /// How many.
    pub lines: usize,
}

/// Values of one plan, chunk after chunk, and how long each took.
#[derive(Debug, Clone, Default)]
struct Values {
    damage: Vec<f64>,
    took: Vec<f64>,
}

/// All measurements of one set of inputs.
#[derive(Debug)]
pub struct Study {
    file: Option<(PathBuf, File)>,
    plans: HashMap<Genome, Values>,
    damaged: Option<Damage>,
}

impl Study {
    /// A study that is forgotten when dropped.
    pub fn in_memory() -> Self {
        Self { file: None, plans: HashMap::new(), damaged: None }
    }

    /// Begins a study in a new file. `fingerprint` stands for all that measurements depend on: model, text, settings, version.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn create(path: &Path, fingerprint: &str, space: &Space) -> Result<Self, StudyError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let mut study = Self {
            file: Some((path.to_owned(), file.map_err(failed(path, "making it"))?)),
            ..Self::in_memory()
        };
        study.lock()?;
        study.write(&Header::of(fingerprint, space))?;
        Ok(study)
    }

    /// Opens a study of the same inputs and the same space, to look something up or to go on.
    ///
    /// # Errors
    /// No such file, no study, or a study of something else; lines that were damaged are no error, see [`Study::damaged`].
    pub fn open(path: &Path, fingerprint: &str, space: &Space) -> Result<Self, StudyError> {
        let file = OpenOptions::new().read(true).append(true).open(path);
        let mut study = Self {
            file: Some((path.to_owned(), file.map_err(failed(path, "opening it"))?)),
            ..Self::in_memory()
        };
        study.lock()?;
        let bytes = study.read_all()?;
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate();
        let found = lines.next().and_then(|(_, first)| line::read::<Header>(first));
        Header::of(fingerprint, space).compare(path, found)?;
        for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let known = line::read::<Record>(line).is_some_and(|record| study.remember(space, record));
            if !known {
                let damage = study.damaged.get_or_insert(Damage { first_line: index + 1, lines: 0 });
                damage.lines += 1;
            }
        }
        if !bytes.ends_with(b"\n") {
            study.append(b"\n")?;
        }
        Ok(study)
    }

    /// What could not be read of the file.
    pub fn damaged(&self) -> Option<Damage> {
        self.damaged
    }

    /// How many plans have been measured on some chunk.
    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// Values of a plan, from the first chunk on as far as it was measured.
    pub fn values(&self, plan: &Genome) -> &[f64] {
        self.plans.get(plan).map_or(&[], |values| &values.damage)
    }

    /// Every plan with its values, in a fixed order.
    pub fn all(&self) -> Vec<(&Genome, &[f64])> {
        let mut all: Vec<(&Genome, &[f64])> =
            self.plans.iter().map(|(plan, values)| (plan, values.damage.as_slice())).collect();
        all.sort_unstable_by_key(|(plan, _)| *plan);
        all
    }

    /// How long some of a plan's values took, in seconds.
    pub(crate) fn seconds_of(&self, plan: &Genome, chunks: Range<usize>) -> f64 {
        let took = self.plans.get(plan).map_or(&[] as &[f64], |values| &values.took);
        took.get(chunks.start..chunks.end.min(took.len())).map_or(0.0, |took| took.iter().sum())
    }

    /// Keeps what was measured, in the file first.
    pub(crate) fn record(
        &mut self,
        plan: &Genome,
        from: usize,
        values: &[f64],
        took: f64,
    ) -> Result<(), StudyError> {
        let exact = values.iter().copied().map(Exact).collect();
        let record = Record { plan: plan.clone(), from, values: exact, took: Exact(took) };
        self.write(&record)?;
        self.insert(record);
        Ok(())
    }

    /// Takes a record from the file; false for what belongs to no plan of the space or leaves a gap.
    fn remember(&mut self, space: &Space, record: Record) -> bool {
        let plan = space.genome(record.plan.levels().to_vec());
        plan.is_ok_and(|plan| plan == record.plan) && self.insert(record)
    }

    /// Adds the values that are new; false when chunks before them are missing.
    fn insert(&mut self, record: Record) -> bool {
        let known = self.plans.get(&record.plan).map_or(0, |values| values.damage.len());
        if record.from > known {
            return false;
        }
        let took = record.took.0 / record.values.len().max(1) as f64;
        let values = self.plans.entry(record.plan).or_default();
        for Exact(value) in record.values.into_iter().skip(known - record.from) {
            values.damage.push(value);
            values.took.push(took);
        }
        true
    }

    fn lock(&self) -> Result<(), StudyError> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(StudyError::InUse { path: path.clone() }),
            // file systems without locks have no second process to guard against that we could see
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(()),
            Err(TryLockError::Error(source)) => Err(failed(path, "locking it")(source)),
        }
    }

    fn read_all(&self) -> Result<Vec<u8>, StudyError> {
        let mut bytes = Vec::new();
        if let Some((path, file)) = &self.file {
            (&mut &*file).read_to_end(&mut bytes).map_err(failed(path, "reading it"))?;
        }
        Ok(bytes)
    }

    fn write(&mut self, record: &impl Serialize) -> Result<(), StudyError> {
        match line::write(record) {
            Some(line) => self.append(line.as_bytes()),
            None => Ok(()),
        }
    }

    /// One write for one line, so that a kill cuts at most the last.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StudyError> {
        match &mut self.file {
            Some((path, file)) => file.write_all(bytes).map_err(failed(path, "writing to it")),
            None => Ok(()),
        }
    }
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> StudyError {
    let path = path.to_owned();
    move |source| StudyError::Io { path, doing, source }
}
