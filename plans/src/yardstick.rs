//! What models are held against: their parent on sequences of tokens.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use secateur_compress::CompressError;
use secateur_compress::forward::{Forward, ForwardError, Hidden, NoTaps, Residency};
use secateur_compress::measure::mean_divergence;
use secateur_compress::progress::Progress;
use secateur_model::{CacheType, Checkpoint};

/// Bytes of parents' predictions that yardsticks may still hold, together; what does not fit is made again for each comparison.
#[derive(Clone)]
pub(crate) struct Room(Arc<AtomicUsize>);

impl Room {
    /// For so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// True if there was room, which is taken then.
    fn take(&self, bytes: usize) -> bool {
        let less = |free: usize| free.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What is scored of each sequence: tokens that have some before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scored {
    /// All but the first quarter: most tokens in a time.
    ThreeQuarters,
    /// The second half, as the divergence of what is written is told.
    SecondHalf,
}

impl Scored {
    fn of(self, hidden: &Hidden) -> Range<usize> {
        let tokens = hidden.tokens();
        match self {
            Self::ThreeQuarters => tokens / 4..tokens,
            Self::SecondHalf => tokens / 2..tokens,
        }
    }
}

/// A parent and what it makes of some sequences.
pub(crate) struct Yardstick {
    parent: Checkpoint,
    sequences: Vec<Vec<u32>>,
    scored: Scored,
    /// Of each sequence, once it is asked for.
    seen_by_parent: OnceLock<Vec<Seen>>,
    room: Room,
}

/// What the parent makes of a sequence.
struct Seen {
    /// Its last hidden states.
    hidden: Hidden,
    /// Its logits where it is scored, `[scored tokens, vocabulary]`, if they are held.
    logits: Option<Vec<f32>>,
}

impl Yardstick {
    /// How many sequences there are.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// The parent is taken through the sequences once, when it is compared for the first time.
    pub fn new(parent: Checkpoint, sequences: Vec<Vec<u32>>, scored: Scored, room: Room) -> Self {
        Self { parent, sequences, scored, seen_by_parent: OnceLock::new(), room }
    }

    /// How far a model, its keys and values kept as `cache` says, is from the parent on some of the sequences, in nats per token that is scored.
    pub fn divergences(
        &self,
        model: &Checkpoint,
        cache: Option<CacheType>,
        sequences: Range<usize>,
        progress: &dyn Progress,
    ) -> Result<Vec<f64>, CompressError> {
        let seen_by_parent = self.seen_by_parent(progress)?;
        let mut child = Forward::new(model, Residency::Stream)?;
        if let Some(cache) = cache {
            child = child.with_cache(cache)?;
        }
        let seen = pass(&child, &self.sequences[sequences.clone()], progress)?;
        let vocabulary_size = model.spec.vocabulary_size;
        let mut parent = None;
        let mut divergences = Vec::with_capacity(seen.len());
        for (index, child_hidden) in sequences.zip(&seen) {
            let of_child = child.logits(child_hidden, self.scored.of(child_hidden))?;
            let seen = &seen_by_parent[index];
            let made_again;
            let of_parent = if let Some(held) = &seen.logits {
                held
            } else {
                let forward = match parent.take() {
                    Some(forward) => forward,
                    None => Forward::new(&self.parent, Residency::Stream)?,
                };
                made_again = forward.logits(&seen.hidden, self.scored.of(&seen.hidden))?;
                parent = Some(forward);
                &made_again
            };
            divergences.push(mean_divergence(of_parent, &of_child, vocabulary_size));
        }
        Ok(divergences)
    }

    fn seen_by_parent(&self, progress: &dyn Progress) -> Result<&[Seen], CompressError> {
        if let Some(seen) = self.seen_by_parent.get() {
            return Ok(seen);
        }
        let parent = Forward::new(&self.parent, Residency::Stream)?;
        let mut seen = Vec::with_capacity(self.sequences.len());
        for hidden in pass(&parent, &self.sequences, progress)? {
            let bytes = self.scored.of(&hidden).len() * self.parent.spec.vocabulary_size * size_of::<f32>();
            let is_held = self.room.take(bytes);
            let logits = if is_held { Some(parent.logits(&hidden, self.scored.of(&hidden))?) } else { None };
            seen.push(Seen { hidden, logits });
        }
        Ok(self.seen_by_parent.get_or_init(|| seen))
    }
}

fn pass(
    model: &Forward,
    sequences: &[Vec<u32>],
    progress: &dyn Progress,
) -> Result<Vec<Hidden>, ForwardError> {
    let mut hidden = sequences.iter().map(|sequence| model.embed(sequence)).collect::<Result<Vec<_>, _>>()?;
    model.run_layers(&mut hidden, &mut NoTaps, progress)?;
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_ends() {
        let room = Room::new(10);
        let other = room.clone();
        assert!(room.take(6));
        assert!(!other.take(5), "only 4 are left");
        assert!(other.take(4));
        assert!(!room.take(1));
    }
}
