//! What can be wrong with what a search was asked.

use std::path::PathBuf;

use crate::Genome;

/// Why a search cannot be set up or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A space without units has one plan and nothing to choose.
    #[error("the space has no units, so there is nothing to choose; give it at least one unit")]
    EmptySpace,
    /// A unit must have between 1 and 65,535 levels.
    #[error("unit `{unit}` has {levels} levels; between 1 and 65535 are possible")]
    Levels {
        /// Name of the unit.
        unit: String,
        /// How many levels it was given.
        levels: usize,
    },
    /// A unit can only be silenced by a unit that comes before it.
    #[error(
        "unit `{unit}` is silent when unit {gate} is at level {level}, which is not a level of a unit before it"
    )]
    Gate {
        /// Name of the silenced unit.
        unit: String,
        /// Index of the unit that is said to silence it.
        gate: usize,
        /// Level at which it is said to do so.
        level: usize,
    },
    /// A plan has another number of choices than the space has units.
    #[error("a plan has {found} choices, but the space has {expected} units")]
    Length {
        /// Units of the space.
        expected: usize,
        /// Choices of the plan.
        found: usize,
    },
    /// A plan names a level that its unit does not have.
    #[error("a plan puts unit `{unit}` at level {found}, but it has levels 0 to {last}")]
    Level {
        /// Name of the unit.
        unit: String,
        /// Highest level of the unit.
        last: usize,
        /// Level of the plan.
        found: usize,
    },
    /// As many limits as costs are needed.
    #[error("{found} limits were given for {expected} costs; give one limit, or none, for each cost")]
    Limits {
        /// Costs that the surrogate tells.
        expected: usize,
        /// Limits given.
        found: usize,
    },
    /// A limit must be a positive number.
    #[error("the limit of {quantity} is {limit}; it must be a number above zero")]
    Limit {
        /// Name of the cost.
        quantity: String,
        /// The limit given.
        limit: f64,
    },
    /// No plan of the space keeps every limit.
    #[error(
        "no plan keeps every limit: the nearest needs {needed} of {binding}, and {limit} is allowed; raise that limit, or allow more to be cut"
    )]
    NothingFits {
        /// The plan that exceeds its worst limit by the smallest factor.
        nearest: Genome,
        /// The cost that it exceeds by the largest factor.
        binding: String,
        /// The limit of that cost.
        limit: f64,
        /// What the nearest plan needs of it.
        needed: f64,
    },
    /// Settings that make no search.
    #[error("{setting} is {found}, but at least {least} is needed")]
    Setting {
        /// Name of the field of `Settings`.
        setting: &'static str,
        /// Its value.
        found: usize,
        /// The smallest value that works.
        least: usize,
    },
    /// The evaluation of plans failed.
    #[error("a plan could not be measured")]
    Evaluation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An evaluation gave something else than one finite number for each chunk.
    #[error(
        "measuring plan {plan} gave {found:?} for chunks {from} to {to}; one finite number per chunk is needed"
    )]
    Measurement {
        /// The plan's levels.
        plan: Genome,
        /// First chunk asked for.
        from: usize,
        /// One past the last chunk asked for.
        to: usize,
        /// What came back.
        found: Vec<f64>,
    },
    /// The study on disk is unusable.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// Why a study on disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The file system said no.
    #[error("study {path}: {doing} failed")]
    Io {
        /// The study's file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes to this study.
    #[error("study {path} is in use by another process; wait for it, or name another study")]
    InUse {
        /// The study's file.
        path: PathBuf,
    },
    /// The first line is not the header of a study.
    #[error("{path} does not begin with the header of a study; name another file, or move this one away")]
    NoHeader {
        /// The study's file.
        path: PathBuf,
    },
    /// The study was made by another version of the format.
    #[error("study {path} has format {found}, and this version reads format {expected}; begin a new study")]
    Version {
        /// The study's file.
        path: PathBuf,
        /// Format that this version reads.
        expected: u32,
        /// Format of the file.
        found: u32,
    },
    /// The study belongs to other inputs.
    #[error(
        "study {path} is of inputs {found}, and these inputs are {expected}; begin a new study, or use the inputs it was made with"
    )]
    OtherInputs {
        /// The study's file.
        path: PathBuf,
        /// Fingerprint of the inputs at hand.
        expected: String,
        /// Fingerprint in the file.
        found: String,
    },
    /// The study was made for another space.
    #[error("study {path} is of another space: it has {found}, and this space has {expected}")]
    OtherSpace {
        /// The study's file.
        path: PathBuf,
        /// The first difference, as this space has it.
        expected: String,
        /// The first difference, as the study has it.
        found: String,
    },
}
