//! Models split into several GGUF files, as llama.cpp's `gguf-split` writes them: `name-00001-of-00003.gguf`, where the
//! first part has all metadata and each part says which one it is.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::file::{at, open_header};
use super::header::check_unique;
use super::{Gguf, GgufError, GgufHeader, Metadata};
use crate::ModelError;

const NUMBER_KEY: &str = "split.no";
const COUNT_KEY: &str = "split.count";
const TENSORS_KEY: &str = "split.tensors.count";

/// The keys that only concern the splitting.
pub(super) const SPLIT_KEYS: [&str; 3] = [NUMBER_KEY, COUNT_KEY, TENSORS_KEY];

/// One part of a split model, as seen from its own header.
pub(super) struct Part {
    /// What stands before `-00001-of-00003.gguf` in the names of all parts, with the folder.
    stem: PathBuf,
    count: u64,
    /// Tensors of all parts together.
    tensors: u64,
}

/// Which part of a split model a file is; `None` if it is a model of its own.
pub(super) fn part_of(metadata: &Metadata, path: &Path) -> Result<Option<Part>, GgufError> {
    let count = metadata.optional::<u64>(COUNT_KEY)?.unwrap_or(0);
    if count < 2 {
        return Ok(None);
    }
    let number = metadata.require::<u64>(NUMBER_KEY)?;
    let tensors = metadata.require::<u64>(TENSORS_KEY)?;
    let expected = ending(number, count);
    let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(&expected));
    match stem {
        Some(stem) if number < count => Ok(Some(Part { stem: path.with_file_name(stem), count, tensors })),
        _ => Err(GgufError::PartName { part: number.saturating_add(1), count, expected }),
    }
}

/// How the name of a part ends; numbers count from 0 in the metadata, from 1 in names.
fn ending(number: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", number.saturating_add(1))
}

impl Part {
    /// Opens all parts; `opened` is the one that was asked for.
    pub(super) fn open_all(&self, opened: &Path, is_wanted: fn(&str) -> bool) -> Result<Gguf, ModelError> {
        let mut model = self.open_first(opened, is_wanted)?;
        for number in 1..self.count {
            let (path, file, header) = self.open_one(number, opened, is_wanted)?;
            let file_number = model.files.push_disk(path, file);
            model.add_tensors(header, file_number);
        }
        check_unique(model.tensors.iter().map(|tensor| tensor.name.as_str()))
            .map_err(|source| at(opened, source))?;
        let found = model.tensors.len() as u64;
        if found != self.tensors {
            return Err(at(opened, GgufError::PartsIncomplete { expected: self.tensors, found }));
        }
        Ok(model)
    }

    /// Opens the first part, the one with the metadata of the model.
    fn open_first(&self, opened: &Path, is_wanted: fn(&str) -> bool) -> Result<Gguf, ModelError> {
        let (path, file, mut header) = self.open_one(0, opened, is_wanted)?;
        let mut model = Gguf::without_tensors(&mut header);
        let file_number = model.files.push_disk(path, file);
        model.add_tensors(header, file_number);
        Ok(model)
    }

    fn open_one(
        &self,
        number: u64,
        opened: &Path,
        is_wanted: fn(&str) -> bool,
    ) -> Result<(PathBuf, File, GgufHeader), ModelError> {
        let path = self.path(number);
        if !path.exists() {
            return Err(at(opened, GgufError::MissingPart { part: path }));
        }
        let (file, header) = open_header(&path, is_wanted)?;
        self.check_kin(&header, number, &path, opened)?;
        Ok((path, file, header))
    }

    fn path(&self, number: u64) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(ending(number, self.count));
        path.into()
    }

    /// Checks that a part belongs to the same model.
    fn check_kin(
        &self,
        header: &GgufHeader,
        number: u64,
        path: &Path,
        opened: &Path,
    ) -> Result<(), ModelError> {
        for (key, expected) in [(COUNT_KEY, self.count), (NUMBER_KEY, number), (TENSORS_KEY, self.tensors)] {
            let found = header.metadata.require::<u64>(key).map_err(|source| at(path, source))?;
            if found != expected {
                let part = path.to_owned();
                return Err(at(opened, GgufError::ForeignPart { part, key, expected, found }));
            }
        }
        Ok(())
    }
}
