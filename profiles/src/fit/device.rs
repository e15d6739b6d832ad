//! Fits one device after another, and lets what they share inform each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use secateur_model::CacheType;

use super::constants::{Constants, RuntimeConstants, Shared, machine};
use super::least_squares::{Normal, minimise};
use super::platform::{Kind, Platform, runtime_name};
use super::priors::Priors;
use crate::FORMATS;
use crate::chip::Chip;
use crate::cost::{Machine, Workload, decode, prefill};
use crate::measurement::{Measurement, Task};

/// Spread of one measured speed around a perfect model: run to run, build to build.
const NOISE: f64 = 0.06;
/// The same with more threads than cores, where threads wait for others that do not run: the published runs of a Core i7-12700H vary by
/// 29 to 31 % there and by 3 % below.
const CROWDED_NOISE: f64 = 0.3;

/// A measurement, ready to be fitted.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name in the table.
    pub id: String,
    /// The device as the table names it.
    pub device: String,
    /// The chip as the table names it.
    pub chip: String,
    /// The model as the table names it.
    pub model: String,
    /// The quantization as the table names it.
    pub quant: String,
    /// The runtime build.
    pub runtime: String,
    /// What it ran on.
    pub platform: Platform,
    /// Threads, stated or usual.
    pub threads: usize,
    /// What it asks for per token.
    pub workload: Arc<Workload>,
    /// What was timed.
    pub task: Task,
    /// Measured seconds per token.
    pub seconds: f64,
}

impl Row {
    /// The row of a measurement; `None` if it is no speed, does not say which model, ran under an artificial limit or from storage.
    pub fn new(row: &Measurement) -> Option<Self> {
        Self::on(row, Platform::of(row)?)
    }

    /// The same on a chip that no table knows.
    pub fn on_chip(row: &Measurement, chip: &Chip) -> Option<Self> {
        let mut row = Self::on(row, Platform::new(chip, &row.device, &row.backend, &row.engine)?)?;
        row.chip.clone_from(&chip.name);
        Some(row)
    }

    fn on(row: &Measurement, platform: Platform) -> Option<Self> {
        let workload = row.workload()?;
        if row.is_limited() || row.exceeds_memory(workload.file_bytes) {
            return None;
        }
        Some(Self {
            id: row.id.clone(),
            device: row.device.clone(),
            chip: row.soc.clone(),
            model: row.model.clone(),
            quant: row.quant.clone(),
            runtime: runtime_name(&row.engine),
            threads: platform.threads_or(row.threads),
            platform,
            workload,
            task: row.task()?,
            seconds: row.seconds()?,
        })
    }

    /// True if another row says the same of the same run.
    pub fn is_same_measurement(&self, other: &Self) -> bool {
        self.device == other.device
            && self.model == other.model
            && self.quant == other.quant
            && self.runtime == other.runtime
            && self.threads == other.threads
            && self.task == other.task
            && self.seconds == other.seconds
    }

    /// Predicted seconds per token.
    pub fn predict(&self, machine: &Machine) -> f64 {
        match self.task {
            Task::Decode { context } => decode(machine, &self.workload, context, CacheType::F16).total(),
            Task::Prefill { tokens, depth } => prefill(machine, &self.workload, tokens, depth).total(),
        }
    }

    fn noise(&self) -> f64 {
        if self.threads > self.platform.cores() { CROWDED_NOISE } else { NOISE }
    }

    fn device_key(&self) -> Key {
        (self.device.clone(), self.platform.kind)
    }

    /// Devices with the same chip are fitted together first; a device without a known chip stands alone.
    pub(super) fn chip_key(&self) -> Key {
        (if self.chip.is_empty() { self.device.clone() } else { self.chip.clone() }, self.platform.kind)
    }
}

type Key = (String, Kind);

/// All that was learned from a table of measurements.
#[derive(Debug, Clone, Default)]
pub struct Experience {
    /// For devices that nobody measured.
    pub priors: Priors,
    /// By chip.
    pub chips: BTreeMap<Key, Constants>,
    /// By device.
    pub devices: BTreeMap<Key, Constants>,
}

/// Seconds per token, and what they rest on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Per token.
    pub seconds: f64,
    /// The device itself or another with its chip was measured; else this is from the specification alone.
    pub is_fitted: bool,
}

impl Experience {
    /// Learns from rows.
    pub fn of(rows: &[&Row]) -> Self {
        let mut experience = Self { priors: Priors::seed(), ..Self::default() };
        let by_chip = grouped(rows, Row::chip_key);
        for _ in 0..4 {
            experience.learn_chips(&by_chip);
        }
        experience.fit_chips(&by_chip);
        experience.fit_devices(&by_chip);
        experience
    }

    /// Learns what is common, then fits the rows of one chip with it; the others keep their constants.
    #[must_use]
    pub fn refit(&self, rows: &[&Row]) -> Self {
        let by_chip = grouped(rows, Row::chip_key);
        let mut experience = Self { priors: self.priors.clone(), ..Self::default() };
        experience.fit_chips(&by_chip);
        experience.fit_devices(&by_chip);
        experience
    }

    /// What devices have in common, nothing of each: for devices that it has not seen.
    pub fn common(rows: &[&Row]) -> Self {
        let mut experience = Self { priors: Priors::seed(), ..Self::default() };
        let by_chip = grouped(rows, Row::chip_key);
        for _ in 0..4 {
            experience.learn_chips(&by_chip);
        }
        Self { priors: experience.priors, ..Self::default() }
    }

    fn learn_chips(&mut self, by_chip: &BTreeMap<Key, Vec<&Row>>) {
        self.fit_chips(by_chip);
        let members: Vec<_> =
            by_chip.iter().map(|(key, rows)| (&rows[0].platform, &self.chips[key])).collect();
        self.priors = self.priors.learn(&members);
    }

    fn fit_chips(&mut self, by_chip: &BTreeMap<Key, Vec<&Row>>) {
        for (key, rows) in by_chip {
            self.chips.insert(key.clone(), fit(rows, &self.priors, None));
        }
    }

    fn fit_devices(&mut self, by_chip: &BTreeMap<Key, Vec<&Row>>) {
        for (chip, rows) in by_chip {
            let devices = grouped(rows, Row::device_key);
            if let [key] = devices.keys().collect::<Vec<_>>()[..] {
                self.devices.insert(key.clone(), self.chips[chip].clone());
                continue;
            }
            for (key, rows) in &devices {
                let constants = fit(rows, &self.priors, Some(&self.chips[chip]));
                self.devices.insert(key.clone(), constants);
            }
        }
    }

    /// The constants for a device: its own, its chip's, or the expected ones; with them whether any were measured.
    ///
    /// A device has the runtimes that were measured on others with its chip too.
    pub fn constants(&self, device: &str, chip: &str, platform: &Platform) -> (Constants, bool) {
        let own = self.devices.get(&(device.to_owned(), platform.kind));
        let of_chip = self.chips.get(&(chip.to_owned(), platform.kind)).filter(|_| !chip.is_empty());
        match (own, of_chip) {
            (Some(own), Some(of_chip)) => {
                let mut constants = own.clone();
                for (name, runtime) in &of_chip.runtimes {
                    constants.runtimes.entry(name.clone()).or_insert_with(|| runtime.clone());
                }
                (constants, true)
            }
            (Some(known), None) | (None, Some(known)) => (known.clone(), true),
            (None, None) => (Constants::expected(&self.priors, platform), false),
        }
    }

    /// Predicts a row from everything but the row's own speed.
    pub fn predict(&self, row: &Row) -> Prediction {
        let (constants, is_fitted) = self.constants(&row.device, &row.chip, &row.platform);
        let runtime = constants.runtime(&self.priors, &row.platform, &row.runtime);
        let machine = constants.machine(&row.platform, &runtime, row.threads);
        Prediction { seconds: row.predict(&machine), is_fitted }
    }
}

fn grouped<'a>(rows: &[&'a Row], key: impl Fn(&Row) -> Key) -> BTreeMap<Key, Vec<&'a Row>> {
    let mut groups: BTreeMap<Key, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

/// Where each unknown stands in the list that the optimiser sees.
struct Layout {
    runtimes: Vec<String>,
    /// `(runtime, format)` that some row measures.
    decode: Vec<(usize, usize)>,
    prefill: Vec<(usize, usize)>,
    /// The expected constants of each runtime.
    expected: Vec<RuntimeConstants>,
}

/// Unknowns of a device before those of its runtimes: [`Shared`], then the speed of its cores in decoding and in prefill.
const DEVICE: usize = Shared::COUNT + 2;
/// Unknowns of a runtime: use of the bandwidth, all formats in decoding, all in prefill.
const RUNTIME: usize = 3;

impl Layout {
    fn new(rows: &[&Row], center: &Constants, priors: &Priors) -> Self {
        let mut runtimes: Vec<String> = rows.iter().map(|row| row.runtime.clone()).collect();
        runtimes.sort_unstable();
        runtimes.dedup();
        let platform = &rows[0].platform;
        let mut expected: Vec<_> =
            runtimes.iter().map(|name| center.runtime(priors, platform, name)).collect();
        for constants in &mut expected {
            (constants.decode_rows, constants.prefill_rows) = ([0; FORMATS], [0; FORMATS]);
        }
        for row in rows {
            let at = runtimes.iter().position(|name| *name == row.runtime).unwrap_or(0);
            for part in &row.workload.layers {
                // formats of a few tensors teach nothing about themselves
                let all: f64 = row.workload.layers.iter().map(|part| part.weights).sum();
                if part.weights > 0.15 * all {
                    let counts = &mut expected[at];
                    let counts =
                        if row.task.is_decode() { &mut counts.decode_rows } else { &mut counts.prefill_rows };
                    counts[part.format.index()] += 1;
                }
            }
        }
        let cells = |rows_of: fn(&RuntimeConstants) -> &[usize; FORMATS]| {
            let cells = expected.iter().enumerate().flat_map(|(runtime, constants)| {
                (0..FORMATS)
                    .filter(move |at| rows_of(constants)[*at] > 0)
                    .map(move |format| (runtime, format))
            });
            cells.collect::<Vec<_>>()
        };
        let (decode, prefill) =
            (cells(|constants| &constants.decode_rows), cells(|constants| &constants.prefill_rows));
        Self { runtimes, decode, prefill, expected }
    }

    fn priors(&self, center: &Shared, is_sibling: bool) -> Vec<Normal> {
        // devices with one chip differ less than devices of one kind
        let near = if is_sibling { 0.4 } else { 1.0 };
        let normal = |mean: f64, deviation: f64| Normal { mean, deviation: deviation * near };
        let spreads = [0.3, 0.4, 0.1, 0.6, 0.4, 0.5, 0.3];
        let mut priors: Vec<_> =
            center.to_array().into_iter().zip(spreads).map(|(mean, spread)| normal(mean, spread)).collect();
        priors.extend([normal(0.0, 0.3), normal(0.0, 0.35)]);
        for _ in &self.runtimes {
            priors.extend([normal(0.0, 0.12), normal(0.0, 0.2), normal(0.0, 0.25)]);
        }
        priors.extend(self.decode.iter().map(|_| normal(0.0, 0.2)));
        priors.extend(self.prefill.iter().map(|_| normal(0.0, 0.25)));
        // the use of the bandwidth is drawn toward the expected one
        for (at, expected) in self.expected.iter().enumerate() {
            priors[DEVICE + RUNTIME * at].mean = expected.bandwidth_use;
        }
        priors
    }

    fn constants(&self, x: &[f64]) -> Constants {
        let mut runtimes = self.expected.clone();
        for (at, runtime) in runtimes.iter_mut().enumerate() {
            let own = &x[DEVICE + RUNTIME * at..];
            runtime.bandwidth_use = own[0];
            runtime.decode.iter_mut().for_each(|value| *value += x[Shared::COUNT] + own[1]);
            runtime.prefill.iter_mut().for_each(|value| *value += x[Shared::COUNT + 1] + own[2]);
        }
        let cells = &x[DEVICE + RUNTIME * self.runtimes.len()..];
        for (&(runtime, format), value) in self.decode.iter().zip(cells) {
            runtimes[runtime].decode[format] += value;
        }
        for (&(runtime, format), value) in self.prefill.iter().zip(&cells[self.decode.len()..]) {
            runtimes[runtime].prefill[format] += value;
        }
        let runtimes = self.runtimes.iter().cloned().zip(runtimes).collect();
        Constants { shared: Shared::from_slice(x), runtimes }
    }
}

/// The constants that explain these rows best, near what is expected: of a device of its kind, or of its chip.
fn fit(rows: &[&Row], priors: &Priors, chip: Option<&Constants>) -> Constants {
    let platform = &rows[0].platform;
    let center = chip.cloned().unwrap_or_else(|| Constants::expected(priors, platform));
    let layout = Layout::new(rows, &center, priors);
    let normals = layout.priors(&center.shared, chip.is_some());
    let residuals = |x: &[f64], out: &mut [f64]| {
        let constants = layout.constants(x);
        let mut machines: Vec<(&str, usize, Machine)> = Vec::new();
        for (row, out) in rows.iter().zip(out) {
            let known = machines
                .iter()
                .position(|(name, threads, _)| *name == row.runtime && *threads == row.threads);
            let at = known.unwrap_or_else(|| {
                let runtime = &constants.runtimes[&row.runtime];
                machines.push((
                    &row.runtime,
                    row.threads,
                    machine(&row.platform, &constants.shared, runtime, row.threads),
                ));
                machines.len() - 1
            });
            *out = (row.predict(&machines[at].2) / row.seconds).ln() / row.noise();
        }
    };
    layout.constants(&minimise(&normals, rows.len(), &residuals))
}
