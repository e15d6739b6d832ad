//! How storage types stand to each other on most processors: where learning starts, and what a sparse profile is completed with.

use crate::WeightFormat;

/// Vector operations per weight, before anything is learned: from the published analysis of a Raspberry Pi 5 and an Apple M2 Max.
pub fn decode_operations(format: WeightFormat) -> f64 {
    use WeightFormat as F;
    match format {
        F::F32 => 1.0,
        F::F16 | F::BF16 => 0.5,
        F::Q8_0 => 0.3,
        F::Q4_0 | F::Q4_1 | F::IQ4_NL | F::MXFP4 => 0.35,
        F::Q4_K | F::IQ4_XS | F::Q6_K => 0.42,
        F::Q5_K | F::Q3_K | F::Q2_K => 0.55,
        F::Q5_0 | F::Q5_1 => 0.65,
        F::IQ3_S | F::IQ3_XXS | F::IQ2_S | F::IQ2_XS | F::IQ2_XXS => 1.3,
    }
}

/// Vector operations per multiplication and addition in prefill, before anything is learned.
pub fn prefill_operations(format: WeightFormat) -> f64 {
    use WeightFormat as F;
    match format {
        F::F16 | F::BF16 => 0.15,
        F::Q4_0 | F::IQ4_NL => 0.07,
        F::Q8_0 => 0.08,
        F::Q4_K | F::Q4_1 | F::MXFP4 | F::IQ4_XS => 0.1,
        F::Q6_K | F::Q5_K => 0.13,
        F::Q3_K | F::Q2_K => 0.17,
        F::F32 | F::Q5_0 | F::Q5_1 => 0.25,
        F::IQ3_S | F::IQ3_XXS | F::IQ2_S | F::IQ2_XS | F::IQ2_XXS => 0.3,
    }
}
