//! What models are held against: their parent on sequences of tokens.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use secateur_compress::CompressError;
use secateur_compress::forward::{Forward, ForwardError, Hidden, NoTaps, Residency};
use secateur_compress::measure::mean_divergence;
use secateur_compress::progress::Silent;
use secateur_model::Checkpoint;

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

/// A parent and what it makes of some sequences.
pub(crate) struct Yardstick {
    parent: Checkpoint,
    sequences: Vec<Vec<u32>>,
    /// Of each sequence, once it is asked for.
    seen_by_parent: OnceLock<Vec<Seen>>,
    room: Room,
}

/// What the parent makes of a sequence.
struct Seen {
    /// Its last hidden states.
    hidden: Hidden,
    /// Its logits of the half that is judged, `[tokens / 2, vocabulary]`, if they are held.
    logits: Option<Vec<f32>>,
}

impl Yardstick {
    /// The parent is taken through the sequences once, when it is compared for the first time.
    pub fn new(parent: Checkpoint, sequences: Vec<Vec<u32>>, room: Room) -> Self {
        Self { parent, sequences, seen_by_parent: OnceLock::new(), room }
    }

    /// How far a model is from the parent on some of the sequences, in nats per token: the second half of each is judged.
    pub fn divergences(
        &self,
        model: &Checkpoint,
        sequences: Range<usize>,
    ) -> Result<Vec<f64>, CompressError> {
        let seen_by_parent = self.seen_by_parent()?;
        let child = Forward::new(model, Residency::Stream)?;
        let seen = pass(&child, &self.sequences[sequences.clone()])?;
        let vocabulary_size = model.spec.vocabulary_size;
        let mut parent = None;
        let mut divergences = Vec::with_capacity(seen.len());
        for (index, child_hidden) in sequences.zip(&seen) {
            let of_child = child.logits(child_hidden, judged(child_hidden))?;
            let seen = &seen_by_parent[index];
            let made_again;
            let of_parent = if let Some(held) = &seen.logits {
                held
            } else {
                let forward = match parent.take() {
                    Some(forward) => forward,
                    None => Forward::new(&self.parent, Residency::Stream)?,
                };
                made_again = forward.logits(&seen.hidden, judged(&seen.hidden))?;
                parent = Some(forward);
                &made_again
            };
            divergences.push(mean_divergence(of_parent, &of_child, vocabulary_size));
        }
        Ok(divergences)
    }

    fn seen_by_parent(&self) -> Result<&[Seen], CompressError> {
        if let Some(seen) = self.seen_by_parent.get() {
            return Ok(seen);
        }
        let parent = Forward::new(&self.parent, Residency::Stream)?;
        let mut seen = Vec::with_capacity(self.sequences.len());
        for hidden in pass(&parent, &self.sequences)? {
            let bytes = judged(&hidden).len() * self.parent.spec.vocabulary_size * size_of::<f32>();
            let is_held = self.room.take(bytes);
            let logits = if is_held { Some(parent.logits(&hidden, judged(&hidden))?) } else { None };
            seen.push(Seen { hidden, logits });
        }
        Ok(self.seen_by_parent.get_or_init(|| seen))
    }
}

/// The second half of a sequence.
fn judged(hidden: &Hidden) -> Range<usize> {
    hidden.tokens() / 2..hidden.tokens()
}

fn pass(model: &Forward, sequences: &[Vec<u32>]) -> Result<Vec<Hidden>, ForwardError> {
    let mut hidden = sequences.iter().map(|sequence| model.embed(sequence)).collect::<Result<Vec<_>, _>>()?;
    model.run_layers(&mut hidden, &mut NoTaps, &Silent)?;
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
