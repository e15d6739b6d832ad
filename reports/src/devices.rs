//! Lists of devices, and which of them can run which models.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table};

/// Every profile.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DeviceList {
    /// The version of this record: 1.
    pub schema: u32,
    /// In alphabetical order of their ids.
    pub devices: Vec<DeviceRow>,
}

/// Profiles that were checked and found valid.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Checked {
    /// The version of this record: 1.
    pub schema: u32,
    /// In the order of the files.
    pub valid: Vec<DeviceRow>,
}

/// One profile.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DeviceRow {
    /// What `--profile` takes.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its cores.
    pub cores: String,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// What decoding reaches at best, GB/s.
    pub bandwidth: f64,
    /// `measured` where speeds of the device were fitted, `derived` else.
    pub basis: &'static str,
    /// Engines and builds.
    pub runtimes: Vec<String>,
}

impl DeviceList {
    /// One row for each profile.
    pub fn table(&self) -> Table {
        device_table("", &self.devices)
    }
}

impl Checked {
    /// One row for each file.
    pub fn table(&self) -> Table {
        device_table("Valid profiles", &self.valid)
    }
}

fn device_table(title: &str, devices: &[DeviceRow]) -> Table {
    let row = |device: &DeviceRow| {
        vec![
            device.id.as_str().into(),
            device.name.as_str().into(),
            device.cores.as_str().into(),
            Cell::Number(device.memory_gib, 1),
            Cell::Number(device.bandwidth, 1),
            device.basis.into(),
            device.runtimes.join(", ").into(),
        ]
    };
    Table {
        title: title.to_owned(),
        columns: vec![
            Column::new("profile", "id"),
            Column::new("device", "name"),
            Column::new("cores", "cores"),
            Column::new("GiB", "memory_gib"),
            Column::new("GB/s", "bandwidth"),
            Column::new("speeds", "basis"),
            Column::new("runtimes", "runtimes"),
        ],
        rows: devices.iter().map(row).collect(),
    }
}

/// Which devices run which models.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Matches {
    /// The version of this record: 1.
    pub schema: u32,
    /// Longest context in tokens.
    pub context: usize,
    /// Sorted by device, else by model.
    pub by_device: bool,
    /// One for each model and device.
    pub rows: Vec<MatchRow>,
}

/// One model on one device.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MatchRow {
    /// The model.
    pub model: String,
    /// The device.
    pub profile: String,
    /// It has everything that the model needs.
    pub runs: bool,
    /// What it lacks: each need, what is needed, and what is there.
    pub lacks: Vec<String>,
    /// Bytes at the peak.
    pub memory_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Estimated.
    pub decode_tokens_per_second: f64,
}

impl Matches {
    /// One row for each model and device.
    pub fn table(&self) -> Table {
        let row = |row: &MatchRow| {
            let (model, profile) = (row.model.as_str().into(), row.profile.as_str().into());
            let [first, second] = if self.by_device { [profile, model] } else { [model, profile] };
            vec![
                first,
                second,
                (if row.runs { "yes" } else { "no" }).into(),
                row.lacks.join("; ").into(),
                Cell::Bytes(row.file_bytes),
                Cell::Bytes(row.memory_bytes),
                Cell::Number(row.decode_tokens_per_second, 1),
            ]
        };
        let (model, profile) = (Column::new("model", "model"), Column::new("profile", "profile"));
        let [first, second] = if self.by_device { [profile, model] } else { [model, profile] };
        Table {
            title: format!("At a context of {} tokens; every number is estimated", self.context),
            columns: vec![
                first,
                second,
                Column::new("runs", "runs"),
                Column::new("lacks", "lacks"),
                Column::new("file", "file_bytes"),
                Column::new("memory", "memory_bytes"),
                Column::new("decode/s", "decode_tokens_per_second"),
            ],
            rows: self.rows.iter().map(row).collect(),
        }
    }
}
