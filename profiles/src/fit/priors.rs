//! What devices of a kind have in common, learned from all that were measured: the expectation for a device that nobody measured.

use std::collections::BTreeMap;

use super::constants::{Constants, RuntimeConstants, Shared};
use super::platform::{Kind, Platform, engine_class};
use super::typical::{decode_operations, prefill_operations};
use crate::chip::Instructions;
use crate::{FORMATS, WeightFormat};

/// Means over devices, from the general to the particular; each level is drawn toward the one above where it has few members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Priors {
    shared: BTreeMap<Kind, [f64; Shared::COUNT]>,
    bandwidth_use: BTreeMap<(Kind, &'static str), f64>,
    decode: Levels,
    prefill: Levels,
}

/// Costs by format: all devices, by instruction set, by instruction set and runtime.
#[derive(Debug, Clone, PartialEq, Default)]
struct Levels {
    all: Vec<f64>,
    instructions: BTreeMap<Instructions, Vec<f64>>,
    classes: BTreeMap<&'static str, f64>,
    both: BTreeMap<(Instructions, &'static str), Vec<f64>>,
}

/// One fitted device with its platform.
pub type Member<'a> = (&'a Platform, &'a Constants);

fn shared_seed(kind: Kind) -> Shared {
    let (bandwidth, fixed_per_layer, cached_byte): (f64, f64, f64) = match kind {
        Kind::AppleProcessor => (0.75, 15e-6, 5.0),
        Kind::ArmProcessor => (0.6, 40e-6, 5.0),
        Kind::X86Processor => (0.65, 20e-6, 5.0),
        Kind::AppleGraphics => (0.85, 100e-6, 2.0),
        Kind::OtherGraphics => (0.6, 150e-6, 2.0),
        Kind::Neural => (0.5, 50e-6, 2.0),
    };
    Shared {
        bandwidth: bandwidth.ln(),
        single_thread: 0.5_f64.ln(),
        contention: 0.05,
        fixed_per_layer: fixed_per_layer.ln(),
        cached_byte: cached_byte.ln(),
        attention: 2.0_f64.ln(),
        waiting: 0.3,
    }
}

impl Levels {
    /// Before anything is learned; graphics and neural processors count whole cores, not vector operations.
    fn seed(of: fn(WeightFormat) -> f64, graphics: f64, neural: f64) -> Self {
        let all: Vec<f64> = WeightFormat::ALL.into_iter().map(of).collect();
        let shifted = |by: f64| vec![all.iter().sum::<f64>() / all.len() as f64 + by; FORMATS];
        let instructions =
            BTreeMap::from([(Instructions::Gpu, shifted(graphics)), (Instructions::Npu, shifted(neural))]);
        Self { all, instructions, ..Self::default() }
    }

    fn get(&self, instructions: Instructions, class: &'static str) -> [f64; FORMATS] {
        let mut values = [0.0; FORMATS];
        if let Some(both) = self.both.get(&(instructions, class)) {
            values.copy_from_slice(both);
            return values;
        }
        values.copy_from_slice(self.instructions.get(&instructions).unwrap_or(&self.all));
        let offset = self.classes.get(class).copied().unwrap_or(0.0);
        values.map(|value| value + offset)
    }

    /// Learns from `(instructions, class, format, value, weight)`.
    fn learn(&self, cells: &[Cell]) -> Self {
        let processors = |cell: &&Cell| !matches!(cell.instructions, Instructions::Gpu | Instructions::Npu);
        let by_format = |cells: &mut dyn Iterator<Item = &Cell>, above: &[f64], trust: f64| {
            let mut sums = vec![(0.0, 0.0); FORMATS];
            // what all formats of the group share, then what each adds
            let cells: Vec<&Cell> = cells.collect();
            let offset =
                mean(cells.iter().map(|cell| (cell.value - above[cell.format], cell.weight)), 2.0 * trust);
            for cell in &cells {
                sums[cell.format].0 += cell.weight * (cell.value - above[cell.format] - offset);
                sums[cell.format].1 += cell.weight;
            }
            let value =
                |(at, (sum, weight)): (usize, &(f64, f64))| above[at] + offset + sum / (weight + trust);
            sums.iter().enumerate().map(value).collect::<Vec<f64>>()
        };
        let all = by_format(&mut cells.iter().filter(processors), &self.all, 1.0);
        let mut learned = Self { all, ..Self::default() };
        let mut groups: Vec<_> = cells.iter().map(|cell| (cell.instructions, cell.class)).collect();
        groups.sort_unstable();
        groups.dedup();
        for &(instructions, _) in &groups {
            let above = self
                .instructions
                .get(&instructions)
                .filter(|_| matches!(instructions, Instructions::Gpu | Instructions::Npu));
            let above = above.unwrap_or(&learned.all);
            let members = &mut cells.iter().filter(|cell| cell.instructions == instructions);
            let values = by_format(members, above, 1.0);
            learned.instructions.insert(instructions, values);
        }
        for &(instructions, class) in &groups {
            let above = learned.instructions[&instructions].clone();
            let members =
                &mut cells.iter().filter(|cell| (cell.instructions, cell.class) == (instructions, class));
            learned.both.insert((instructions, class), by_format(members, &above, 1.0));
        }
        for &(_, class) in &groups {
            let members = cells.iter().filter(|cell| cell.class == class);
            let distances = members.map(|cell| {
                (cell.value - learned.instructions[&cell.instructions][cell.format], cell.weight)
            });
            learned.classes.insert(class, mean(distances, 3.0));
        }
        learned
    }
}

/// One format of one runtime on one device.
struct Cell {
    instructions: Instructions,
    class: &'static str,
    format: usize,
    value: f64,
    weight: f64,
}

/// Weighted mean of values, drawn toward zero by `trust`.
fn mean(values: impl Iterator<Item = (f64, f64)>, trust: f64) -> f64 {
    let (sum, weights) =
        values.fold((0.0, trust), |(sum, all), (value, weight)| (sum + weight * value, all + weight));
    sum / weights
}

impl Priors {
    /// Before anything is learned.
    pub fn seed() -> Self {
        Self {
            decode: Levels::seed(|format| decode_operations(format).ln(), -2.5, -2.5),
            prefill: Levels::seed(|format| prefill_operations(format).ln(), -3.0, -3.0),
            ..Self::default()
        }
    }

    /// What a kind of device is expected to share among its runtimes.
    pub fn shared(&self, kind: Kind) -> Shared {
        self.shared.get(&kind).map_or_else(|| shared_seed(kind), |values| Shared::from_slice(values))
    }

    /// What a runtime of this class is expected to cost on a platform.
    pub fn runtime(&self, platform: &Platform, class: &'static str) -> RuntimeConstants {
        RuntimeConstants {
            bandwidth_use: self.bandwidth_use.get(&(platform.kind, class)).copied().unwrap_or(0.0),
            decode: self.decode.get(platform.instructions, class),
            prefill: self.prefill.get(platform.instructions, class),
            decode_rows: [0; FORMATS],
            prefill_rows: [0; FORMATS],
        }
    }

    /// Learns anew from devices that were fitted with these priors.
    #[must_use]
    pub fn learn(&self, members: &[Member]) -> Self {
        let seed = Self::seed();
        let mut learned = Self::default();
        let mut kinds: Vec<Kind> = members.iter().map(|(platform, _)| platform.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let start = shared_seed(kind).to_array();
            let mut values = start;
            for at in 0..Shared::COUNT {
                let of_kind = members.iter().filter(|(platform, _)| platform.kind == kind);
                let distances = of_kind.map(|(_, constants)| {
                    let rows: usize = constants.runtimes.values().map(RuntimeConstants::rows).sum();
                    (constants.shared.to_array()[at] - start[at], weight(rows))
                });
                values[at] = start[at] + mean(distances, 0.5);
            }
            learned.shared.insert(kind, values);
        }
        let (mut decode, mut prefill) = (Vec::new(), Vec::new());
        let mut uses: BTreeMap<(Kind, &'static str), Vec<(f64, f64)>> = BTreeMap::new();
        for (platform, constants) in members {
            for (name, runtime) in &constants.runtimes {
                let class = engine_class(name);
                uses.entry((platform.kind, class))
                    .or_default()
                    .push((runtime.bandwidth_use, weight(runtime.rows())));
                let push = |cells: &mut Vec<Cell>, values: &[f64; FORMATS], rows: &[usize; FORMATS]| {
                    for format in (0..FORMATS).filter(|at| rows[*at] > 0) {
                        let instructions = platform.instructions;
                        let (value, weight) = (values[format], weight(rows[format]));
                        cells.push(Cell { instructions, class, format, value, weight });
                    }
                };
                push(&mut decode, &runtime.decode, &runtime.decode_rows);
                push(&mut prefill, &runtime.prefill, &runtime.prefill_rows);
            }
        }
        for (key, values) in uses {
            learned.bandwidth_use.insert(key, mean(values.into_iter(), 1.0));
        }
        learned.decode = seed.decode.learn(&decode);
        learned.prefill = seed.prefill.learn(&prefill);
        learned
    }
}

/// Many rows of one device are not many devices.
fn weight(rows: usize) -> f64 {
    rows as f64 / (rows as f64 + 2.0)
}
