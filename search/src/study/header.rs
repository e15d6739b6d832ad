//! The first line of a study: what it is of.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Space, StudyError, Unit};

/// Version of the file format.
const FORMAT: u32 = 1;

/// Inputs and space of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    fingerprint: String,
    units: Vec<Unit>,
}

impl Header {
    pub fn of(fingerprint: &str, space: &Space) -> Self {
        Self { format: FORMAT, fingerprint: fingerprint.to_owned(), units: space.units().to_vec() }
    }

    /// Whether the header of a file is this one.
    pub fn compare(&self, path: &Path, found: Option<Self>) -> Result<(), StudyError> {
        let path = path.to_owned();
        let Some(found) = found else { return Err(StudyError::NoHeader { path }) };
        if found.format != self.format {
            return Err(StudyError::Version { path, expected: self.format, found: found.format });
        }
        if found.fingerprint != self.fingerprint {
            let (expected, found) = (self.fingerprint.clone(), found.fingerprint);
            return Err(StudyError::OtherInputs { path, expected, found });
        }
        if found.units != self.units {
            let most = found.units.len().max(self.units.len());
            let differs = |index: &usize| found.units.get(*index) != self.units.get(*index);
            let differ = (0..most).find(differs).unwrap_or(most);
            let (expected, found) = (told(&self.units, differ), told(&found.units, differ));
            return Err(StudyError::OtherSpace { path, expected, found });
        }
        Ok(())
    }
}

/// A unit of a space, or that it has no such unit.
fn told(units: &[Unit], index: usize) -> String {
    match units.get(index) {
        Some(unit) => format!("unit {index} `{}` with {} levels", unit.name, unit.levels),
        None => format!("{} units", units.len()),
    }
}
