//! How far off predictions are: on rows that the fit has seen, on models that it has not, on devices that it has not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::device::{Experience, Row};

/// What the fit was kept from seeing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Experiment {
    /// Nothing.
    Own,
    /// The row, on a device that it knows.
    RowLeftOut,
    /// The row's model, on any device with the row's chip.
    ModelLeftOut,
    /// Every device with the row's chip.
    DeviceLeftOut,
}

/// One prediction beside its measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the columns of the table of measurements
pub struct Error {
    pub experiment: Experiment,
    pub id: String,
    pub device: String,
    pub model: String,
    pub quant: String,
    pub runtime: String,
    pub threads: usize,
    pub is_decode: bool,
    /// Measured tokens per second.
    pub measured: f64,
    /// Predicted tokens per second.
    pub predicted: f64,
}

impl Error {
    /// Predicted against measured speed, as a part of the measured one.
    pub fn relative(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// All errors of a scoring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// One for each row and experiment that applies to it.
    pub errors: Vec<Error>,
}

/// Median and spread of the absolute relative error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many predictions.
    pub rows: usize,
    /// Half are nearer.
    pub median: f64,
    /// Nine of ten are nearer.
    pub ninetieth: f64,
    /// The median of the error with its sign: above zero, predictions are too fast.
    pub bias: f64,
}

/// Groups in which chips are left out together.
const FOLDS: usize = 10;

/// Fits and scores in all three ways.
pub fn score(rows: &[Row]) -> (Experience, Score) {
    let all: Vec<&Row> = rows.iter().collect();
    let experience = Experience::of(&all);
    let mut errors = Vec::new();
    errors.extend(all.iter().map(|row| error_of(Experiment::Own, row, &experience)));
    leave_models_out(&all, &experience, &mut errors);
    leave_devices_out(&all, &mut errors);
    (experience, Score { errors })
}

/// The prediction of a row beside its measurement.
pub fn error_of(experiment: Experiment, row: &Row, experience: &Experience) -> Error {
    Error {
        experiment,
        id: row.id.clone(),
        device: row.device.clone(),
        model: row.model.clone(),
        quant: row.quant.clone(),
        runtime: row.runtime.clone(),
        threads: row.threads,
        is_decode: row.task.is_decode(),
        measured: 1.0 / row.seconds,
        predicted: 1.0 / experience.predict(row).seconds,
    }
}

fn leave_models_out(rows: &[&Row], experience: &Experience, errors: &mut Vec<Error>) {
    let chips: BTreeSet<_> = rows.iter().map(|row| row.chip_key()).collect();
    for chip in chips {
        let of_chip: Vec<&Row> = rows.iter().copied().filter(|row| row.chip_key() == chip).collect();
        let models: BTreeSet<&str> = of_chip.iter().map(|row| row.model.as_str()).collect();
        if models.len() < 2 {
            continue;
        }
        for model in models {
            let (left_out, kept): (Vec<&Row>, Vec<&Row>) = of_chip.iter().partition(|row| row.model == model);
            let refitted = experience.refit(&kept);
            errors.extend(left_out.into_iter().map(|row| error_of(Experiment::ModelLeftOut, row, &refitted)));
        }
    }
}

fn leave_devices_out(rows: &[&Row], errors: &mut Vec<Error>) {
    let chips: BTreeSet<_> = rows.iter().map(|row| row.chip.as_str()).collect();
    let fold: BTreeMap<&str, usize> =
        chips.into_iter().enumerate().map(|(at, chip)| (chip, at % FOLDS)).collect();
    for left_out in 0..FOLDS {
        let (unseen, seen): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| fold[row.chip.as_str()] == left_out);
        let common = Experience::common(&seen);
        errors.extend(unseen.into_iter().map(|row| error_of(Experiment::DeviceLeftOut, row, &common)));
    }
}

/// Summarises errors, `None` if there are none.
pub fn summarise<'a>(errors: impl Iterator<Item = &'a Error>) -> Option<Summary> {
    let mut signed: Vec<f64> = errors.map(Error::relative).collect();
    if signed.is_empty() {
        return None;
    }
    signed.sort_unstable_by(f64::total_cmp);
    let bias = quantile(&signed, 0.5);
    let mut absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
    absolute.sort_unstable_by(f64::total_cmp);
    let rows = absolute.len();
    Some(Summary { rows, median: quantile(&absolute, 0.5), ninetieth: quantile(&absolute, 0.9), bias })
}

/// Of sorted values, by linear interpolation.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(quantile(&values, 0.5), 3.0);
        assert!((quantile(&values, 0.9) - 4.6).abs() < 1e-12);
    }
}
