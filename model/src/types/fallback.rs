//! What a tensor gets when its rows do not fill the blocks of the type that was asked for.

use crate::TensorType;

/// The type that llama-quantize would take instead of `asked` for rows of `row_len`, or `asked` itself if it is legal.
///
/// The same choices as llama.cpp, so that sizes are what its users expect; the caller tells the user of each one.
pub fn fallback(asked: TensorType, row_len: usize) -> TensorType {
    if asked.is_legal_for(row_len) {
        return asked;
    }
    let narrower_blocks = match asked {
        TensorType::Q2_K | TensorType::Q3_K => TensorType::Q4_0,
        TensorType::Q4_K => TensorType::Q5_0,
        TensorType::Q5_K => TensorType::Q5_1,
        TensorType::Q6_K => TensorType::Q8_0,
        TensorType::IQ4_XS | TensorType::IQ3_S => TensorType::IQ4_NL,
        _ => TensorType::F16,
    };
    if narrower_blocks.is_legal_for(row_len) { narrower_blocks } else { TensorType::F16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_576_take_what_llama_quantize_gives_them() {
        for (asked, taken) in [
            (TensorType::Q2_K, TensorType::Q4_0),
            (TensorType::Q4_K, TensorType::Q5_0),
            (TensorType::Q5_K, TensorType::Q5_1),
            (TensorType::Q6_K, TensorType::Q8_0),
            (TensorType::Q4_0, TensorType::Q4_0),
            (TensorType::IQ3_S, TensorType::IQ4_NL),
            (TensorType::IQ4_XS, TensorType::IQ4_NL),
        ] {
            assert_eq!(fallback(asked, 576), taken);
        }
    }

    #[test]
    fn rows_that_fill_no_block_stay_f16() {
        assert_eq!(fallback(TensorType::Q4_K, 390), TensorType::F16);
        assert_eq!(fallback(TensorType::Q8_0, 390), TensorType::F16);
    }
}
