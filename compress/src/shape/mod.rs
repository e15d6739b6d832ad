//! Smaller shapes: which layers, heads, channels and hidden dimensions of a model stay, and how they take over from those that go.
//!
//! [`choose_shape`] decides by calibration statistics; [`repair`] solves the output projections anew, layer after layer. The result is a
//! [`ShapePlan`](secateur_model::shape::ShapePlan) and a file of tensors, with which
//! [`Checkpoint::with_shape`](secateur_model::Checkpoint::with_shape) stands for the smaller model.

mod bias;
mod choose;
mod error;
mod hidden;
mod importance;
mod layers;
mod obs;
mod orders;
mod place;
mod portable;
mod repair;
mod repaired_file;
mod request;
mod squares;
mod uneven;

pub(crate) use choose::channel_order;
pub use choose::choose_shape;
pub use error::ShapeRequestError;
pub use importance::{Importance, ImportanceError};
pub use layers::{drop_by_divergence, drop_by_influence};
pub use orders::{ChannelOrder, ChannelOrders};
pub use place::repaired_path;
pub use repair::repair;
pub use request::{Layers, ShapeRequest};
