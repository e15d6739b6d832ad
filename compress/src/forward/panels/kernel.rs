//! Sums of a few tokens for one panel, in registers.

use std::arch::x86_64::{
    __m256, __m512, _MM_HINT_T1, _mm_prefetch, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

/// Outputs side by side in a panel.
pub const PANEL: usize = 16;

/// Inputs for each cache line of the next panel that is fetched ahead.
const PREFETCH_STEPS: usize = 8;

/// Numbers in a cache line.
const LINE: usize = 16;

/// Tokens that any kernel takes at a time.
pub const MOST_TOKENS: usize = 14;

/// How many numbers of the next panel a kernel fetches ahead.
pub fn fetched(depth: usize) -> usize {
    depth / PREFETCH_STEPS * LINE
}

/// A row of a panel in registers.
///
/// # Safety
/// Whoever calls anything of it has found the instructions on this processor; addresses are those of 16 numbers, but for `value`, of one.
pub trait PanelRow: Copy {
    /// Tokens that a kernel takes at a time, at most [`MOST_TOKENS`]: as many as there are registers for.
    const TOKENS: usize;

    /// 16 zeros.
    unsafe fn zero() -> Self;
    /// Reads 16 numbers.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes them.
    unsafe fn store(self, to: *mut f32);
    /// `self + value · weights`, rounded once.
    unsafe fn add_product(self, value: *const f32, weights: Self) -> Self;
}

/// AVX2 and FMA: with two vectors for each of 6 tokens, 12 of the 16 registers hold sums.
impl PanelRow for [__m256; 2] {
    const TOKENS: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_ps(to, self[0]);
            _mm256_storeu_ps(to.add(8), self[1]);
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, value: *const f32, weights: Self) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let value = _mm256_broadcast_ss(&*value);
            [_mm256_fmadd_ps(value, weights[0], self[0]), _mm256_fmadd_ps(value, weights[1], self[1])]
        }
    }
}

/// AVX-512: 14 of the 32 registers hold sums, enough to hide how long one addition takes.
impl PanelRow for __m512 {
    const TOKENS: usize = MOST_TOKENS;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, value: *const f32, weights: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_fmadd_ps(_mm512_set1_ps(*value), weights, self) }
    }
}

/// Sums of a few tokens for one panel.
#[derive(Clone, Copy)]
pub struct Tile {
    /// The first row.
    pub out: *mut f32,
    /// From one row to the next.
    pub stride: usize,
    /// Nothing has been summed up before.
    pub begin: bool,
}

/// The kernel for `count` tokens, at most [`PanelRow::TOKENS`].
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
pub unsafe fn kernel_of<R: PanelRow>(
    count: usize,
    weights: &[f32],
    rows: &[f32],
    stride: usize,
    next: *const f32,
    tile: Tile,
) {
    macro_rules! of {
        ($($tokens:literal)*) => {
            match count {
                // SAFETY: the caller's.
                $($tokens if $tokens <= R::TOKENS => unsafe { kernel::<R, $tokens>(weights, rows, stride, next, tile) },)*
                _ => unreachable!("no more tokens than there are registers for"),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// Adds up `N` rows of inputs with one panel, `[depth, 16]`, while the lines at `next` are fetched.
///
/// # Safety
/// The processor has the instructions of `R`. `rows` holds `N` rows of at least `depth` numbers, `stride` apart; the tile has `N` rows of 16 numbers.
/// `next` may be any address: fetching ahead never fails.
#[inline(always)]
unsafe fn kernel<R: PanelRow, const N: usize>(
    weights: &[f32],
    rows: &[f32],
    stride: usize,
    mut next: *const f32,
    tile: Tile,
) {
    debug_assert!(rows.len() >= N * stride && stride >= weights.len() / PANEL);
    let Tile { out, stride: out_stride, begin } = tile;
    // SAFETY: all addresses are inside the tile, the rows and the panel.
    unsafe {
        let mut sums = [R::zero(); N];
        if !begin {
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = R::load(out.add(row * out_stride));
            }
        }
        let mut input = rows.as_ptr();
        let mut steps = weights.chunks_exact(PREFETCH_STEPS * PANEL);
        for weights in &mut steps {
            _mm_prefetch::<_MM_HINT_T1>(next.cast());
            next = next.wrapping_add(LINE);
            for index in 0..PREFETCH_STEPS {
                step(&weights[index * PANEL..][..PANEL], input, stride, &mut sums);
                input = input.add(1);
            }
        }
        for weights in steps.remainder().chunks_exact(PANEL) {
            step(weights, input, stride, &mut sums);
            input = input.add(1);
        }
        for (row, sum) in sums.iter().enumerate() {
            sum.store(out.add(row * out_stride));
        }
    }
}

/// One input of each row.
///
/// # Safety
/// The processor has the instructions of `R`; there are `N` numbers `stride` apart from `input`, and 16 weights.
#[inline(always)]
unsafe fn step<R: PanelRow, const N: usize>(
    weights: &[f32],
    input: *const f32,
    stride: usize,
    sums: &mut [R; N],
) {
    // SAFETY: the caller's.
    unsafe {
        let weights = R::load(weights.as_ptr());
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum = sum.add_product(input.add(row * stride), weights);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What AVX-512 does, on processors that have none.
    #[derive(Clone, Copy)]
    pub struct Plain([f32; PANEL]);

    impl PanelRow for Plain {
        const TOKENS: usize = MOST_TOKENS;

        unsafe fn zero() -> Self {
            Self([0.0; PANEL])
        }

        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's.
            Self(unsafe { from.cast::<[f32; PANEL]>().read() })
        }

        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's.
            unsafe { to.cast::<[f32; PANEL]>().write(self.0) }
        }

        unsafe fn add_product(self, value: *const f32, weights: Self) -> Self {
            // SAFETY: the caller's.
            let value = unsafe { *value };
            Self(std::array::from_fn(|lane| value.mul_add(weights.0[lane], self.0[lane])))
        }
    }
}
