//! Which storage type each tensor gets when the user names one: plain types, llama.cpp's mixes, overrides, fallbacks.

mod fallback;
mod mix;
mod request;

pub use fallback::fallback;
pub use mix::Mix;
pub use request::{Assigned, Override, RequestError, TypeChoice, TypeRequest};
