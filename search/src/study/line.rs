//! One line of a study: a record as JSON with its checksum.
//!
//! `{"crc32":"1c291ca3","record":{…}}`, where the checksum is of the record's bytes as they stand. Numbers that must come back to the last bit are
//! written as text, since JSON readers may round.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BEFORE: &str = "{\"crc32\":\"";
const BETWEEN: &str = "\",\"record\":";
const AFTER: &str = "}";

/// The line of a record, with its end. Nothing when the record is not JSON, which plain records always are.
pub(super) fn write(record: &impl Serialize) -> Option<String> {
    let record = serde_json::to_string(record).ok()?;
    let checksum = crc32fast::hash(record.as_bytes());
    Some(format!("{BEFORE}{checksum:08x}{BETWEEN}{record}{AFTER}\n"))
}

/// The record of a line without its end; nothing when the line is not as it was written.
pub(super) fn read<R: DeserializeOwned>(line: &[u8]) -> Option<R> {
    let line = std::str::from_utf8(line).ok()?;
    let (checksum, rest) = line.strip_prefix(BEFORE)?.split_at_checked(8)?;
    let record = rest.strip_prefix(BETWEEN)?.strip_suffix(AFTER)?;
    let whole = u32::from_str_radix(checksum, 16).ok()? == crc32fast::hash(record.as_bytes());
    if whole { serde_json::from_str(record).ok() } else { None }
}

/// A number that comes back as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_to_the_last_bit_and_any_changed_byte_is_noticed() {
        let numbers: Vec<Exact> = [0.1 + 0.2, -0.0, 5e-324, f64::MAX, 1.0 / 3.0].map(Exact).to_vec();
        let line = write(&numbers).unwrap();
        let bytes = line.trim_end().as_bytes();
        let back: Vec<Exact> = read(bytes).unwrap();
        assert!(numbers.iter().zip(&back).all(|(a, b)| a.0.to_bits() == b.0.to_bits()));
        for index in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1;
            assert!(read::<Vec<Exact>>(&changed).is_none(), "byte {index}");
            assert!(read::<Vec<Exact>>(&bytes[..index]).is_none());
        }
    }
}
