//! How weights are stored, as far as their price goes: every type that we write, and those that others measured.

use schemars::JsonSchema;
use secateur_model::TensorType;
use serde::{Deserialize, Serialize};

/// A storage type with a price. The codebook types below four bits are here because published measurements have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(non_camel_case_types, missing_docs)] // the ecosystem's own names
pub enum WeightFormat {
    F32,
    F16,
    BF16,
    Q8_0,
    Q6_K,
    Q5_K,
    Q5_1,
    Q5_0,
    Q4_K,
    Q4_1,
    Q4_0,
    IQ4_NL,
    IQ4_XS,
    MXFP4,
    Q3_K,
    Q2_K,
    IQ3_S,
    IQ3_XXS,
    IQ2_S,
    IQ2_XS,
    IQ2_XXS,
}

/// The number of formats.
pub const FORMATS: usize = WeightFormat::ALL.len();

impl WeightFormat {
    /// Every format, in the order of the enum.
    pub const ALL: [Self; 21] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q6_K,
        Self::Q5_K,
        Self::Q5_1,
        Self::Q5_0,
        Self::Q4_K,
        Self::Q4_1,
        Self::Q4_0,
        Self::IQ4_NL,
        Self::IQ4_XS,
        Self::MXFP4,
        Self::Q3_K,
        Self::Q2_K,
        Self::IQ3_S,
        Self::IQ3_XXS,
        Self::IQ2_S,
        Self::IQ2_XS,
        Self::IQ2_XXS,
    ];

    /// Its place in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }

    /// Lower-case name, for example `q4_k`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q6_K => "q6_k",
            Self::Q5_K => "q5_k",
            Self::Q5_1 => "q5_1",
            Self::Q5_0 => "q5_0",
            Self::Q4_K => "q4_k",
            Self::Q4_1 => "q4_1",
            Self::Q4_0 => "q4_0",
            Self::IQ4_NL => "iq4_nl",
            Self::IQ4_XS => "iq4_xs",
            Self::MXFP4 => "mxfp4",
            Self::Q3_K => "q3_k",
            Self::Q2_K => "q2_k",
            Self::IQ3_S => "iq3_s",
            Self::IQ3_XXS => "iq3_xxs",
            Self::IQ2_S => "iq2_s",
            Self::IQ2_XS => "iq2_xs",
            Self::IQ2_XXS => "iq2_xxs",
        }
    }

    /// The format with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Average bits per weight, scales included (`ggml-common.h` of llama.cpp).
    pub fn bits_per_weight(self) -> f64 {
        match self {
            Self::IQ3_S => 3.4375,
            Self::IQ3_XXS => 3.0625,
            Self::IQ2_S => 2.5625,
            Self::IQ2_XS => 2.3125,
            Self::IQ2_XXS => 2.0625,
            other => TensorType::from_name(other.name()).map_or(32.0, TensorType::bits_per_weight),
        }
    }
}

impl From<TensorType> for WeightFormat {
    fn from(tensor_type: TensorType) -> Self {
        // a type added to the model crate without a price here counts as plain numbers
        Self::from_name(tensor_type.name()).unwrap_or(Self::F32)
    }
}

impl std::fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_type_has_a_price_under_its_own_name() {
        for tensor_type in TensorType::all() {
            let format = WeightFormat::from(tensor_type);
            assert_eq!(format.name(), tensor_type.name());
            assert_eq!(format.bits_per_weight(), tensor_type.bits_per_weight());
        }
        for (index, format) in WeightFormat::ALL.into_iter().enumerate() {
            assert_eq!(format.index(), index);
        }
    }
}
