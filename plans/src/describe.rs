//! Plans in words.

use std::collections::BTreeMap;

use secateur_compress::allocation::Choice;

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its shape, its vocabulary if that is smaller, and how keys and values are kept if not as usual.
    pub body: String,
    /// How the bytes of its matrices share out among types.
    pub types: String,
}

/// What part of the bytes each type has, the most first; parts below one in a hundred are not told.
pub(crate) fn types_in_words<'c>(choices: impl Iterator<Item = &'c Choice>) -> String {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for choice in choices {
        *bytes.entry(choice.tensor_type.to_string()).or_default() += choice.bytes;
    }
    let total: u64 = bytes.values().sum();
    let mut shares: Vec<(u64, String)> = bytes.into_iter().map(|(name, bytes)| (bytes, name)).collect();
    shares.sort_by(|a, b| b.cmp(a));
    let share =
        |(bytes, name): &(u64, String)| format!("{name} {} %", (bytes * 100 + total / 2) / total.max(1));
    shares.iter().filter(|(bytes, _)| bytes * 100 >= total).map(share).collect::<Vec<_>>().join(", ")
}
