//! The ways to keep keys and values that a search may choose from.

use secateur_compress::CompressError;
use secateur_compress::progress::Progress;
use secateur_compress::statistics::{Statistics, keep, read_kept};
use secateur_model::{CacheType, Checkpoint};
use serde::{Deserialize, Serialize};

use crate::yardstick::{Room, Scored, Yardstick};

/// Sequences that they are tried on: what a cache loses differs little from text to text.
const TRIED_ON: usize = 2;

/// A way to keep keys and values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cache {
    /// Nothing for the runtime's usual one, which loses nothing that counts.
    pub chosen: Option<CacheType>,
    /// What it loses by itself, in nats per token.
    pub loss: f64,
}

impl Cache {
    /// How keys and values are kept.
    pub fn cache_type(self) -> CacheType {
        self.chosen.unwrap_or_default()
    }
}

/// What each loses, kept with the statistics.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    /// The version of this record: 2.
    schema: u32,
    /// Of the statistics.
    of: String,
    caches: Vec<CacheType>,
    losses: Vec<f64>,
}

/// The usual way, and those that are offered, with what they lose on the first of `sequences`.
pub(crate) fn caches(
    whole: &Checkpoint,
    offered: Vec<CacheType>,
    sequences: &[Vec<u32>],
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<Cache>, CompressError> {
    let losses = losses(whole, &offered, sequences, statistics, progress)?;
    let smaller = offered.into_iter().zip(losses).map(|(cache, loss)| Cache { chosen: Some(cache), loss });
    Ok(std::iter::once(Cache { chosen: None, loss: 0.0 }).chain(smaller).collect())
}

fn losses(
    whole: &Checkpoint,
    offered: &[CacheType],
    sequences: &[Vec<u32>],
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<f64>, CompressError> {
    if offered.is_empty() {
        return Ok(Vec::new());
    }
    let path = statistics.folder().join("caches.json");
    let of = statistics.fingerprint();
    let kept: Option<Tried> = read_kept(&path);
    if let Some(tried) = kept.filter(|tried| tried.schema == 2 && tried.of == of && tried.caches == offered) {
        return Ok(tried.losses);
    }
    let first = sequences[..TRIED_ON.min(sequences.len())].to_vec();
    let yardstick = Yardstick::new(whole.clone(), first, Scored::ThreeQuarters, Room::new(usize::MAX));
    let mut losses = Vec::with_capacity(offered.len());
    for &cache in offered {
        let divergences = yardstick.divergences(whole, Some(cache), 0..yardstick.len(), progress)?;
        losses.push(divergences.iter().sum::<f64>() / divergences.len().max(1) as f64);
    }
    keep(&path, &Tried { schema: 2, of, caches: offered.to_vec(), losses: losses.clone() })?;
    Ok(losses)
}
