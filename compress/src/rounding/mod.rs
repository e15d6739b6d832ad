//! Rounding a whole model.
//!
//! The plainest way takes each number to the nearest that can be stored, and needs no calibration. The others weigh errors by what the
//! layers read; [`Rounding::Gptq`] and [`Rounding::Full`] go through the model layer after layer with two copies of the calibration text, one
//! as the parent sees it and one as the model sees it that is rounded so far.

mod sequence;
mod site;
mod store;
mod target;
mod weighted;

pub use sequence::Settings;
pub use store::{Part, RoundedMatrices, RoundedStore, Types, matrices_of};
pub use target::USUAL_DAMPING;
pub use weighted::{Importance, round_weighted};

use secateur_model::{Checkpoint, Role, Rounding};

use crate::CompressError;
use crate::progress::Progress;
use sequence::Sequence;

impl Settings {
    /// What a sequential method stands for; `None` for the others.
    pub fn of(method: Rounding) -> Option<Self> {
        match method {
            Rounding::Rtn | Rounding::Weighted => None,
            Rounding::Gptq => Some(Self { solves: false, sweeps: 0 }),
            Rounding::Full => Some(Self { solves: true, sweeps: 3 }),
        }
    }
}

/// Rounds every matrix layer after layer, with error feedback; `store` holds the result, and what an earlier run has left in it is not
/// done again. `vocabulary_second` gives what errors in the rows of the token embedding or the output matrix are weighed by,
/// `[hidden, hidden]`. `texts` are at most 512 tokens long each.
///
/// # Errors
/// If something cannot be read, second moments weigh nothing, numbers are no longer finite, the disk refuses, or the user interrupts: what
/// is done stays in the store.
pub fn round_sequentially(
    checkpoint: &Checkpoint,
    types: &Types,
    texts: &[Vec<u32>],
    settings: Settings,
    vocabulary_second: &dyn Fn(Role) -> Vec<f32>,
    store: &RoundedStore,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    Sequence { checkpoint, types, settings, vocabulary_second, texts, store }.run(progress)
}
