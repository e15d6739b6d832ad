//! From a tensor type to its encoder, compiled for the vectors of the machine at hand.

use secateur_model::TensorType;

#[cfg(target_arch = "x86_64")]
use super::vector::Avx2;
use super::vector::{Portable, Vector};
use super::{QuantizeError, float, iq3_s, k_affine, k_symmetric, legacy, mxfp4, weighted_blocks};

/// One storage type: how a row becomes bytes.
///
/// Implementations are plain loops that the compiler turns into vector instructions, and `#[inline(always)]` down to
/// the last function, so that they take on the instruction set of the caller. Every sum is written in a fixed order and
/// nothing is fused, so the bytes are the same for any instruction set.
pub trait Encoder {
    /// Stores a row whose numbers are finite and fill whole blocks, in exactly as many bytes as they take.
    /// `importance` has the length of the row and no number below 1e-6 in it.
    fn encode<V: Vector>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]);
}

/// Encodes whole rows: values, row length, importance, output. The lengths fit each other.
type EncodeRows = fn(&[f32], usize, Option<&[f32]>, &mut [u8]) -> Result<(), QuantizeError>;

/// The same, where AVX2 and F16C must have been found first.
#[cfg(target_arch = "x86_64")]
type EncodeRowsAvx2 = unsafe fn(&[f32], usize, Option<&[f32]>, &mut [u8]) -> Result<(), QuantizeError>;

/// One encoder, compiled for different machines.
struct Compiled {
    for_any: EncodeRows,
    /// Must run only where there are AVX2 and F16C.
    #[cfg(target_arch = "x86_64")]
    for_avx2: EncodeRowsAvx2,
}

impl Compiled {
    fn new<E: Encoder>() -> Self {
        Self {
            for_any: rows_with::<E, Portable>,
            #[cfg(target_arch = "x86_64")]
            for_avx2: rows_with_avx2::<E>,
        }
    }

    fn of(tensor_type: TensorType) -> Option<Self> {
        Some(match tensor_type {
            TensorType::F32 => Self::new::<float::F32>(),
            TensorType::F16 => Self::new::<float::F16>(),
            TensorType::BF16 => Self::new::<float::Bf16>(),
            TensorType::Q8_0 => Self::new::<legacy::Q8_0>(),
            TensorType::Q6_K => Self::new::<k_symmetric::Q6K>(),
            TensorType::Q5_K => Self::new::<k_affine::Q5K>(),
            TensorType::Q5_1 => Self::new::<legacy::Q5_1>(),
            TensorType::Q5_0 => Self::new::<legacy::Q5_0>(),
            TensorType::Q4_K => Self::new::<k_affine::Q4K>(),
            TensorType::Q4_1 => Self::new::<legacy::Q4_1>(),
            TensorType::Q4_0 => Self::new::<legacy::Q4_0>(),
            TensorType::IQ4_NL => Self::new::<weighted_blocks::Iq4Nl>(),
            TensorType::IQ4_XS => Self::new::<k_symmetric::Iq4Xs>(),
            TensorType::MXFP4 => Self::new::<mxfp4::Mxfp4>(),
            TensorType::IQ3_S => Self::new::<iq3_s::Iq3S>(),
            TensorType::Q3_K => Self::new::<k_symmetric::Q3K>(),
            TensorType::Q2_K => Self::new::<k_affine::Q2K>(),
            _ => return None,
        })
    }
}

/// Encodes rows whose lengths have been checked.
pub fn encode_rows(
    tensor_type: TensorType,
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    let compiled = Compiled::of(tensor_type).ok_or(QuantizeError::Unsupported { tensor_type })?;
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the instructions that the function is compiled for were just found on this machine.
        return unsafe { (compiled.for_avx2)(values, row_len, importance, out) };
    }
    (compiled.for_any)(values, row_len, importance, out)
}

#[cfg(target_arch = "x86_64")]
pub fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn rows_with_avx2<E: Encoder>(
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    rows_with::<E, Avx2>(values, row_len, importance, out)
}

#[inline(always)]
fn rows_with<E: Encoder, V: Vector>(
    values: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantizeError> {
    if values.is_empty() {
        return Ok(());
    }
    let row_bytes = out.len() / (values.len() / row_len);
    for (row, (values, out)) in values.chunks_exact(row_len).zip(out.chunks_exact_mut(row_bytes)).enumerate()
    {
        if !all_finite(values) {
            return Err(not_finite(row, values));
        }
        E::encode::<V>(values, importance, out);
    }
    Ok(())
}

/// On the bits, which vectorizes: the exponent of what is not finite is all ones.
#[inline(always)]
fn all_finite(values: &[f32]) -> bool {
    let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
    largest < f32::INFINITY.to_bits()
}

#[cold]
fn not_finite(row: usize, values: &[f32]) -> QuantizeError {
    let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    QuantizeError::NotFinite { row, column, value: values[column] }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_do_not_depend_on_the_instructions() {
        assert!(has_avx2(), "nothing to compare on this machine");
        let importance: Vec<f32> = numbers(512).map(|value| value * value + 1e-6).collect();
        for magnitude in [1e-30_f32, 1e-7, 1.0, 3e4, 1e10, 1e37] {
            let values: Vec<f32> = numbers(512 * 24).map(|value| value * magnitude).collect();
            for tensor_type in TensorType::all() {
                let compiled = Compiled::of(tensor_type).unwrap();
                for importance in [None, Some(importance.as_slice())] {
                    let mut any = vec![0; tensor_type.row_bytes(values.len()).unwrap()];
                    let mut avx2 = any.clone();
                    (compiled.for_any)(&values, 512, importance, &mut any).unwrap();
                    // SAFETY: checked above.
                    unsafe { (compiled.for_avx2)(&values, 512, importance, &mut avx2) }.unwrap();
                    assert!(any == avx2, "{tensor_type}, numbers near {magnitude}");
                }
            }
        }
    }

    /// Between -5 and 5, most of them small; every 64 numbers, eight zeros.
    fn numbers(count: usize) -> impl Iterator<Item = f32> {
        let mut state = 1_u32;
        (0..count).map(move |index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let uniform = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            if index % 64 < 8 { 0.0 } else { uniform * uniform * uniform * 5.0 }
        })
    }
}
