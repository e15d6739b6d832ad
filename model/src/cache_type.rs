//! How a runtime keeps keys and values.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TensorType;

/// How keys and values are cached. The runtime is told when it starts (`--cache-type-k`, `--cache-type-v` of llama.cpp): no file of a model says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(non_camel_case_types, missing_docs)] // llama.cpp's own names
pub enum CacheType {
    F32,
    #[default]
    F16,
    Q8_0,
    Q4_0,
}

impl CacheType {
    /// The type of each block of numbers.
    pub fn tensor_type(self) -> TensorType {
        match self {
            Self::F32 => TensorType::F32,
            Self::F16 => TensorType::F16,
            Self::Q8_0 => TensorType::Q8_0,
            Self::Q4_0 => TensorType::Q4_0,
        }
    }

    /// What llama.cpp's programs are told at their start.
    pub fn llama_options(self) -> String {
        format!("--cache-type-k {self} --cache-type-v {self}")
    }

    /// Bytes per cached element, scales included.
    pub fn bytes_per_element(self) -> f64 {
        self.tensor_type().bits_per_weight() / 8.0
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tensor_type().fmt(f)
    }
}
