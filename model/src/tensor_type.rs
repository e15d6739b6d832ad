//! The storage types of GGUF tensors: their numbers in the file, block lengths and block sizes.

use serde::{Deserialize, Serialize};

/// How the numbers of a tensor are stored.
///
/// Block lengths, block sizes and numbers are those of `ggml.h` (`enum ggml_type`) in llama.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(non_camel_case_types, missing_docs)] // the ecosystem's own names
#[non_exhaustive]
pub enum TensorType {
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
    IQ3_S,
    Q3_K,
    Q2_K,
}

/// One row of the type table.
struct TypeRow {
    tensor_type: TensorType,
    name: &'static str,
    ggml_id: u32,
    block_len: usize,
    block_bytes: usize,
}

const fn row(
    tensor_type: TensorType,
    name: &'static str,
    ggml_id: u32,
    block_len: usize,
    block_bytes: usize,
) -> TypeRow {
    TypeRow { tensor_type, name, ggml_id, block_len, block_bytes }
}

/// In the order of the enum.
const TABLE: [TypeRow; 17] = [
    row(TensorType::F32, "f32", 0, 1, 4),
    row(TensorType::F16, "f16", 1, 1, 2),
    row(TensorType::BF16, "bf16", 30, 1, 2),
    row(TensorType::Q8_0, "q8_0", 8, 32, 34),
    row(TensorType::Q6_K, "q6_k", 14, 256, 210),
    row(TensorType::Q5_K, "q5_k", 13, 256, 176),
    row(TensorType::Q5_1, "q5_1", 7, 32, 24),
    row(TensorType::Q5_0, "q5_0", 6, 32, 22),
    row(TensorType::Q4_K, "q4_k", 12, 256, 144),
    row(TensorType::Q4_1, "q4_1", 3, 32, 20),
    row(TensorType::Q4_0, "q4_0", 2, 32, 18),
    row(TensorType::IQ4_NL, "iq4_nl", 20, 32, 18),
    row(TensorType::IQ4_XS, "iq4_xs", 23, 256, 136),
    row(TensorType::MXFP4, "mxfp4", 39, 32, 17),
    row(TensorType::IQ3_S, "iq3_s", 21, 256, 110),
    row(TensorType::Q3_K, "q3_k", 11, 256, 110),
    row(TensorType::Q2_K, "q2_k", 10, 256, 84),
];

impl TensorType {
    /// Every type, from the most bits to the fewest.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.tensor_type)
    }

    fn row(self) -> &'static TypeRow {
        &TABLE[self as usize]
    }

    /// Lower-case name as people write it, for example `q4_k`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The number that stands for this type in a GGUF file.
    pub fn ggml_id(self) -> u32 {
        self.row().ggml_id
    }

    /// The type with this GGUF number, if we know it.
    pub fn from_ggml_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.ggml_id == id).map(|row| row.tensor_type)
    }

    /// The type with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.tensor_type)
    }

    /// Numbers per block: 1, 32 or 256. A row's length must be a multiple of it.
    pub fn block_len(self) -> usize {
        self.row().block_len
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        self.row().block_bytes
    }

    /// True if rows of this length can be stored in this type.
    pub fn is_legal_for(self, row_len: usize) -> bool {
        row_len.is_multiple_of(self.block_len())
    }

    /// Bytes of one row of `row_len` numbers; `None` if the length is no multiple of the block.
    pub fn row_bytes(self, row_len: usize) -> Option<usize> {
        self.is_legal_for(row_len).then(|| (row_len / self.block_len()).checked_mul(self.block_bytes()))?
    }

    /// Average bits per number, scales included.
    pub fn bits_per_weight(self) -> f64 {
        self.block_bytes() as f64 * 8.0 / self.block_len() as f64
    }

    /// True for the types that store each number on its own (no shared scale).
    pub fn is_float(self) -> bool {
        self.block_len() == 1
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.tensor_type as usize, index, "{}", row.name);
        }
    }

    #[test]
    fn names_and_numbers_lead_back_to_the_type() {
        for tensor_type in TensorType::all() {
            assert_eq!(TensorType::from_name(&tensor_type.name().to_uppercase()), Some(tensor_type));
            assert_eq!(TensorType::from_ggml_id(tensor_type.ggml_id()), Some(tensor_type));
        }
    }

    #[test]
    fn rows_that_do_not_fill_blocks_have_no_size() {
        assert_eq!(TensorType::Q4_K.row_bytes(576), None);
        assert_eq!(TensorType::Q4_0.row_bytes(576), Some(18 * 18));
        assert_eq!(TensorType::Q4_K.row_bytes(1536), Some(6 * 144));
    }
}
