//! The devices that get a profile of their own.

use super::emit::Description;
use crate::chip::Chip;
use crate::measurement::Measurement;
use crate::needs::Modality;

const DEVICES: &str = include_str!("../../data/devices.tsv");
const SPECIFICATIONS: &str = include_str!("../../data/specifications.tsv");

/// Every device of the table, with the addresses of its specification and of its measured speeds.
pub fn descriptions(measurements: &[Measurement]) -> Vec<Description> {
    DEVICES.lines().skip(1).filter_map(|line| describe(line, measurements)).collect()
}

fn describe(line: &str, measurements: &[Measurement]) -> Option<Description> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, name, device, chip, backend, memory, usable, storage, free_storage, power, inputs] = fields[..]
    else {
        return None;
    };
    let chip = Chip::of_name(chip)?;
    let mut measured_in: Vec<String> = measurements
        .iter()
        .filter(|row| row.backend == backend && (row.device == device || row.soc == chip.name))
        .map(|row| row.source_url.clone())
        .collect();
    measured_in.sort_unstable();
    measured_in.dedup();
    Some(Description {
        id: id.to_owned(),
        name: name.to_owned(),
        device: device.to_owned(),
        backend: backend.to_owned(),
        memory: memory.parse().ok()?,
        usable_memory: usable.parse().ok()?,
        storage: storage.parse().ok(),
        free_storage: free_storage.parse().ok()?,
        power: power.parse().ok(),
        inputs: inputs.split(' ').map(modality).collect::<Option<_>>()?,
        source: chip.source.clone().unwrap_or_else(|| specification(device, &chip.name)),
        chip,
        measured_in,
    })
}

fn modality(name: &str) -> Option<Modality> {
    [Modality::Text, Modality::Image, Modality::Audio].into_iter().find(|modality| modality.name() == name)
}

/// Where the device's specification stands, or its chip's.
fn specification(device: &str, chip: &str) -> String {
    let rows = || SPECIFICATIONS.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let address = |row: Vec<&str>| row.get(9).map(|text| (*text).to_owned()).filter(|text| !text.is_empty());
    let of_device = rows().find(|row| row[0] == device).and_then(address);
    let of_chip = || rows().filter(|row| row.get(1) == Some(&chip)).find_map(address);
    of_device.or_else(of_chip).unwrap_or_else(|| "the maker's data sheet; profiles/data/chips.tsv".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_describes_a_device() {
        assert_eq!(descriptions(&[]).len(), DEVICES.lines().count() - 1);
    }
}
