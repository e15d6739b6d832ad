//! What passes a model, as numbers that pruning and quantization weigh their errors by.

mod cross;
mod moments;

pub use cross::CrossMoments;
pub use moments::Moments;
