//! A profile of this machine: its memory measured by our own reads, its runtime by what llama-bench reports, or from our own arithmetic.

mod arithmetic;
mod bench;
mod machine;
mod read_speed;

use crate::fit::{Description, ExpectedError, Experience, Row, profile};
use crate::measurement::{self, Measurement, MeasurementError};
use crate::needs::Modality;
use crate::profile::Profile;

pub use arithmetic::vector_rate;
pub use bench::{BenchError, read_bench};
pub use machine::{ThisMachine, detect};
pub use read_speed::{ReadSpeed, read_speeds};

/// Why this machine cannot be described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// The report of llama-bench is not understood.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The published measurements cannot be read.
    #[error(transparent)]
    Published(#[from] MeasurementError),
    /// The system does not say what it is made of.
    #[error("this machine has no processor that profiles describe")]
    NoProcessor,
}

/// A profile of this machine, and how far its predictions are from the speeds that it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The profile.
    pub profile: Profile,
    /// Speeds that were fitted; none if llama-bench told nothing.
    pub rows: usize,
    /// Their median absolute error, as a part.
    pub error: Option<f64>,
}

/// GiB that are taken to be free for models: the standard library does not tell.
const USUAL_STORAGE: f64 = 16.0;
/// Decoding reads memory nearly as fast as plain reads do.
const OF_PLAIN_READS: f64 = 0.95;

/// Makes the profile from the machine, its read speeds, the vector operations per second of a core (in billions) and speeds of a runtime.
///
/// # Errors
/// If the published measurements cannot be read or the machine has no processor.
pub fn calibrate(
    machine: &ThisMachine,
    speeds: &[ReadSpeed],
    vector_rate: f64,
    bench: &[Measurement],
    id: &str,
) -> Result<Calibrated, CalibrateError> {
    let published: Vec<Row> =
        measurement::read(measurement::PUBLISHED)?.iter().filter_map(Row::new).collect();
    let known: Vec<&Row> = published.iter().collect();
    let common = Experience::common(&known);
    let best = speeds.iter().map(|speed| speed.gigabytes_per_second).fold(0.1, f64::max);
    let expected = common.priors.shared(machine.kind()).bandwidth.exp();
    let mut chip = machine.chip.clone();
    for cluster in &mut chip.clusters {
        cluster.lanes = vector_rate / cluster.clock;
    }
    // what the specification would have to say for decoding to reach what was read
    chip.bandwidth = best * OF_PLAIN_READS / expected;
    let rows: Vec<Row> = bench.iter().filter_map(|row| Row::on_chip(row, &chip)).collect();
    let own: Vec<&Row> = rows.iter().collect();
    let experience = if own.is_empty() { common } else { common.refit(&own) };
    let mut errors: Vec<f64> =
        rows.iter().map(|row| (row.seconds / experience.predict(row).seconds - 1.0).abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let error = errors.get(errors.len() / 2).copied();
    let about = Description {
        id: id.to_owned(),
        name: machine.name.clone(),
        device: machine.name.clone(),
        chip,
        backend: "CPU".to_owned(),
        memory: machine.memory,
        usable_memory: machine.usable_memory,
        storage: None,
        free_storage: USUAL_STORAGE,
        power: None,
        inputs: vec![Modality::Text],
        source:
            "what the system says of itself; bandwidth by plain reads, vectors by our own multiplications"
                .to_owned(),
        measured_in: vec!["llama-bench on this machine".to_owned()],
    };
    let percent = error.map_or(30.0, |error| 100.0 * error);
    let expected =
        ExpectedError { unseen_decode: percent, unseen_prefill: percent, ..ExpectedError::default() };
    let profile = profile(&about, &experience, expected).ok_or(CalibrateError::NoProcessor)?;
    Ok(Calibrated { profile, rows: rows.len(), error })
}
