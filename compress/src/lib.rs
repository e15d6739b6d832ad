//! How a language model is cut: a plan says what will be done, the rest obeys it.

pub mod types;
