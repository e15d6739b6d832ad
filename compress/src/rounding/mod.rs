//! Rounding a whole model, layer after layer, each on what the layers before it give once they are rounded.

mod sequence;
mod target;

pub use sequence::{RoundedMatrix, Settings, round_model};
