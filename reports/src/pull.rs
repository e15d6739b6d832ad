//! What `pull` brought, or would bring.

use schemars::JsonSchema;
use secateur_model::HubSource;
use serde::Serialize;

use crate::{Cell, Column, Table, units};

/// The files of a model of the Hub.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Pull {
    /// The version of this record: 1.
    pub schema: u32,
    /// Model, revision and commit.
    #[serde(flatten)]
    pub source: HubSource,
    /// In the order of their names.
    pub files: Vec<PulledFile>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that were not in the cache.
    pub missing_bytes: u64,
    /// Pickled files that were asked for and are never fetched.
    pub pickles: Vec<String>,
    /// Why the cache was asked and not the Hub, if the Hub should have been.
    pub unreachable: Option<String>,
    /// Where the files are; none for `--dry-run`.
    pub folder: Option<String>,
    /// Wall time in seconds.
    pub seconds: Option<f64>,
}

/// One of the files.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PulledFile {
    /// With `/` between folders.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// How much of it was in the cache.
    pub present: u64,
}

impl Pull {
    /// The files, with what was there before.
    pub fn table(&self) -> Table {
        let row = |file: &PulledFile| {
            vec![file.path.as_str().into(), Cell::Bytes(file.bytes), Cell::Bytes(file.bytes - file.present)]
        };
        let missing = if self.folder.is_some() { "fetched" } else { "to fetch" };
        Table {
            title: format!("{} at {}, commit {}", self.source.repo, self.source.revision, self.source.commit),
            columns: vec![
                Column::new("file", "file"),
                Column::new("bytes", "bytes"),
                Column::new(missing, "missing_bytes"),
            ],
            rows: self.files.iter().map(row).collect(),
        }
    }

    /// What people read below the table, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(reason) = &self.unreachable {
            notes.push(format!("{reason}; these are the files that the cache has"));
        }
        if !self.pickles.is_empty() {
            notes.push(format!("pickled files are never fetched: {}", self.pickles.join(", ")));
        }
        let (all, missing) = (units::bytes(self.bytes), units::bytes(self.missing_bytes));
        match (&self.folder, self.seconds) {
            (Some(folder), _) if self.missing_bytes == 0 => notes.push(format!("all {all} are in {folder}")),
            (Some(folder), Some(seconds)) => {
                let rate = units::bytes((self.missing_bytes as f64 / seconds.max(1e-3)) as u64);
                let time = units::seconds(seconds);
                notes.push(format!("fetched {missing} of {all} in {time} ({rate}/s), checked, in {folder}"));
            }
            _ => notes.push(format!("{missing} of {all} would be fetched")),
        }
        notes
    }
}
