//! Which storage type each tensor gets when the user names one: plain types, llama.cpp's mixes, overrides, fallbacks.

mod assign;
mod fallback;
mod mix;
mod request;

pub use assign::plan_tensors;
pub use fallback::fallback;
pub use mix::Mix;
pub use request::{Assigned, Override, RequestError, TypeChoice, TypeRequest, named};
