//! Eight `f32` that an instruction takes at once.
//!
//! The compiler turns loops over `[f32; 8]` into such instructions only where it finds them; the searches for scales
//! are three to ten times slower where it does not. So where AVX2 is there, it is named.

use std::ops::{Add, Mul, Sub};

/// Eight numbers. All operations are those of IEEE 754 on each, so every implementation gives the same bits.
pub trait Vector: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// From memory.
    fn load(values: &[f32; 8]) -> Self;

    /// To memory.
    fn store(self) -> [f32; 8];

    /// The same number eight times.
    fn splat(value: f32) -> Self;

    /// The smaller of each pair; `other` if they do not compare.
    fn min(self, other: Self) -> Self;

    /// The larger of each pair; `other` if they do not compare.
    fn max(self, other: Self) -> Self;

    /// `then` where `self < than`, else `otherwise`.
    fn if_less(self, than: Self, then: Self, otherwise: Self) -> Self;

    /// Quotients.
    fn divided_by(self, other: Self) -> Self;

    /// Fractions cut off. Not-a-number becomes 0 or the least integer, whose last byte is 0.
    fn cut(self) -> [i32; 8];
}

/// For any machine.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| function(self.0[lane], other.0[lane])))
    }
}

impl Add for Portable {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl Sub for Portable {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul for Portable {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl Vector for Portable {
    #[inline(always)]
    fn load(values: &[f32; 8]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn store(self) -> [f32; 8] {
        self.0
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn if_less(self, than: Self, then: Self, otherwise: Self) -> Self {
        Self(std::array::from_fn(
            |lane| {
                if self.0[lane] < than.0[lane] { then.0[lane] } else { otherwise.0[lane] }
            },
        ))
    }

    #[inline(always)]
    fn divided_by(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn cut(self) -> [i32; 8] {
        self.0.map(|value| value as i32)
    }
}

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    // Every operation is one instruction of AVX on values in registers or, for `load`, behind a reference.
    #![allow(clippy::undocumented_unsafe_blocks)] // SAFETY: all blocks have the reason given at `Avx2`

    use std::arch::x86_64 as x86;
    use std::ops::{Add, Mul, Sub};

    use super::Vector;

    /// For machines with AVX2.
    ///
    /// SAFETY of its operations: the type is named in one place only, `rows_with_avx2` in the dispatch, which runs only
    /// after the instructions were found on the machine.
    #[derive(Clone, Copy)]
    pub struct Avx2(x86::__m256);

    impl Add for Avx2 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_add_ps(self.0, other.0) })
        }
    }

    impl Sub for Avx2 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_sub_ps(self.0, other.0) })
        }
    }

    impl Mul for Avx2 {
        type Output = Self;
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_mul_ps(self.0, other.0) })
        }
    }

    impl Vector for Avx2 {
        #[inline(always)]
        fn load(values: &[f32; 8]) -> Self {
            Self(unsafe { x86::_mm256_loadu_ps(values.as_ptr()) })
        }

        #[inline(always)]
        fn store(self) -> [f32; 8] {
            let mut values = [0.0; 8];
            unsafe { x86::_mm256_storeu_ps(values.as_mut_ptr(), self.0) };
            values
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { x86::_mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_min_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn if_less(self, than: Self, then: Self, otherwise: Self) -> Self {
            Self(unsafe {
                let less = x86::_mm256_cmp_ps::<{ x86::_CMP_LT_OQ }>(self.0, than.0);
                x86::_mm256_blendv_ps(otherwise.0, then.0, less)
            })
        }

        #[inline(always)]
        fn divided_by(self, other: Self) -> Self {
            Self(unsafe { x86::_mm256_div_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn cut(self) -> [i32; 8] {
            let mut integers = [0; 8];
            unsafe {
                x86::_mm256_storeu_si256(integers.as_mut_ptr().cast(), x86::_mm256_cvttps_epi32(self.0));
            }
            integers
        }
    }
}
