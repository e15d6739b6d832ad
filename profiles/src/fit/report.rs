//! Errors grouped as the documentation shows them.

use std::collections::BTreeSet;

use super::score::{Error, Experiment, Score, Summary, summarise};

/// Errors of one group in one experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What was kept from the fit.
    pub experiment: Experiment,
    /// The group's name; empty for all rows.
    pub name: String,
    /// Of decoding.
    pub decode: Option<Summary>,
    /// Of prefill.
    pub prefill: Option<Summary>,
}

impl Group {
    /// True if it has any prediction.
    fn is_filled(&self) -> bool {
        self.decode.is_some() || self.prefill.is_some()
    }
}

/// Errors from the whole to the particular.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// All rows together.
    pub overall: Vec<Group>,
    /// Devices with at least ten rows.
    pub devices: Vec<Group>,
    /// Types with at least ten rows.
    pub types: Vec<Group>,
}

/// Groups smaller than this have no meaningful percentile.
const SMALLEST: usize = 10;
const EXPERIMENTS: [Experiment; 4] =
    [Experiment::Own, Experiment::RowLeftOut, Experiment::ModelLeftOut, Experiment::DeviceLeftOut];

impl Experiment {
    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "nothing",
            Self::RowLeftOut => "the row",
            Self::ModelLeftOut => "the model",
            Self::DeviceLeftOut => "the device",
        }
    }
}

/// Groups the errors of a score.
pub fn groups(score: &Score) -> Groups {
    let by = |key: fn(&Error) -> &str| {
        let names: BTreeSet<&str> = score.errors.iter().map(key).collect();
        let rows = |experiment: Experiment, name: &str| {
            score.errors.iter().filter(|error| error.experiment == experiment && key(error) == name).count()
        };
        let large = names
            .into_iter()
            .filter(|name| EXPERIMENTS.into_iter().any(|experiment| rows(experiment, name) >= SMALLEST));
        let experiments = [Experiment::RowLeftOut, Experiment::ModelLeftOut, Experiment::DeviceLeftOut];
        large
            .flat_map(|name| {
                experiments.map(|experiment| group(score, experiment, name, |error| key(error) == name))
            })
            .filter(Group::is_filled)
            .collect()
    };
    Groups {
        overall: EXPERIMENTS
            .into_iter()
            .map(|experiment| group(score, experiment, "", |_| true))
            .filter(Group::is_filled)
            .collect(),
        devices: by(|error| &error.device),
        types: by(|error| &error.quant),
    }
}

fn group(score: &Score, experiment: Experiment, name: &str, belongs: impl Fn(&Error) -> bool) -> Group {
    let of =
        |is_decode: bool| {
            summarise(score.errors.iter().filter(|error| {
                error.experiment == experiment && error.is_decode == is_decode && belongs(error)
            }))
        };
    Group { experiment, name: name.to_owned(), decode: of(true), prefill: of(false) }
}

/// The predictions that are farthest off in each experiment, by the ratio of predicted to measured.
pub fn worst(score: &Score, each: usize) -> Vec<&Error> {
    let distance = |error: &&Error| (error.predicted / error.measured).ln().abs();
    EXPERIMENTS
        .into_iter()
        .flat_map(|experiment| {
            let mut errors: Vec<&Error> =
                score.errors.iter().filter(|error| error.experiment == experiment).collect();
            errors.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
            errors.truncate(each);
            errors
        })
        .collect()
}
