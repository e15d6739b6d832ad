//! What passes a model, as numbers that pruning and quantization weigh their errors by.

mod moments;

pub use moments::Moments;
