//! Rounding a matrix so that what its layer gives changes least, rather than its numbers.
//!
//! The loss of a row is `(w - q) H (w - q)ᵀ` with `H = E[x xᵀ]` of what the layer reads. Columns are rounded from left to right
//! and each error is made good by the columns to its right (GPTQ); scales and minima are those with which this loses least. Then
//! codes, scales and minima are improved one at a time. All of it stays inside the grids that GGUF can store.
//!
//! Eight rows are worked on at once, one in each lane; rows do not know of each other, so the bytes do not depend on the threads, nor
//! on the vector instructions of the machine.

mod descent;
mod four;
mod grid;
mod group;
mod layout;
mod problem;
mod search;
mod trial;

use rayon::prelude::*;
use secateur_model::TensorType;

use super::QuantizeError;
#[cfg(target_arch = "x86_64")]
use super::dispatch::has_avx2;
use super::levels::{E2m1, Iq4};
use super::vector::{Portable, Vector};
use super::{encode_rows, result_bytes};
use grid::{AnyGrid, Grid, LevelSet, PatternLevels, Single, Steps};
use group::{Group, ROWS};

pub use problem::{Problem, ProblemError};

#[cfg(target_arch = "x86_64")]
use super::vector::Avx2;

/// Rounds a matrix, `[rows, problem.width()]`, on all threads; `sweeps` times over all columns afterwards. Types that store each number
/// on its own are rounded to nearest.
///
/// # Errors
/// If the lengths do not fit each other or the type, or a number is not finite.
pub fn round_matrix(
    tensor_type: TensorType,
    values: &[f32],
    problem: &Problem,
    sweeps: usize,
) -> Result<Vec<u8>, QuantizeError> {
    let row_len = problem.width();
    let mut out = vec![0; result_bytes(tensor_type, values.len(), row_len)?];
    if values.is_empty() {
        return Ok(out);
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let (row, column) = (index / row_len, index % row_len);
        return Err(QuantizeError::NotFinite { row, column, value: values[index] });
    }
    if tensor_type.is_float() {
        encode_rows(tensor_type, values, row_len, None, &mut out)?;
        return Ok(out);
    }
    let grid = AnyGrid::of(tensor_type).ok_or(QuantizeError::Unsupported { tensor_type })?;
    let row_bytes = out.len() / (values.len() / row_len);
    let groups = values.par_chunks(ROWS * row_len).zip(out.par_chunks_mut(ROWS * row_bytes));
    let job = Job { tensor_type, problem, sweeps };
    groups.for_each(|(rows, out)| job.run(grid, rows, out));
    Ok(out)
}

/// How up to eight rows are rounded.
#[derive(Clone, Copy)]
struct Job<'a> {
    tensor_type: TensorType,
    problem: &'a Problem,
    sweeps: usize,
}

impl Job<'_> {
    fn run(self, grid: AnyGrid, rows: &[f32], out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: the instructions that the functions are compiled for were just found on this machine.
            return unsafe {
                match grid {
                    AnyGrid::Steps32(grid) => self.round_with_avx2::<Steps, 32>(&grid, rows, out),
                    AnyGrid::Steps16(grid) => self.round_with_avx2::<Steps, 16>(&grid, rows, out),
                    AnyGrid::Iq4(grid) => self.round_with_avx2::<Single<Iq4>, 32>(&grid, rows, out),
                    AnyGrid::E2m1(grid) => self.round_with_avx2::<Single<E2m1>, 32>(&grid, rows, out),
                    AnyGrid::Patterns(grid) => self.round_with_avx2::<PatternLevels, 32>(&grid, rows, out),
                }
            };
        }
        self.run_anywhere(grid, rows, out);
    }

    fn run_anywhere(self, grid: AnyGrid, rows: &[f32], out: &mut [u8]) {
        match grid {
            AnyGrid::Steps32(grid) => self.round_anywhere::<Steps, 32>(&grid, rows, out),
            AnyGrid::Steps16(grid) => self.round_anywhere::<Steps, 16>(&grid, rows, out),
            AnyGrid::Iq4(grid) => self.round_anywhere::<Single<Iq4>, 32>(&grid, rows, out),
            AnyGrid::E2m1(grid) => self.round_anywhere::<Single<E2m1>, 32>(&grid, rows, out),
            AnyGrid::Patterns(grid) => self.round_anywhere::<PatternLevels, 32>(&grid, rows, out),
        }
    }

    /// Must run only where there are AVX2 and F16C. A function for each kind of grid: in one, they take the compiler ten times as long.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,f16c")]
    #[inline(never)]
    fn round_with_avx2<L: LevelSet, const LEN: usize>(self, grid: &Grid<L>, rows: &[f32], out: &mut [u8]) {
        self.round::<L, Avx2, LEN>(grid, rows, out);
    }

    #[inline(never)]
    fn round_anywhere<L: LevelSet, const LEN: usize>(self, grid: &Grid<L>, rows: &[f32], out: &mut [u8]) {
        self.round::<L, Portable, LEN>(grid, rows, out);
    }

    #[inline(always)]
    fn round<L: LevelSet, V: Vector, const LEN: usize>(self, grid: &Grid<L>, rows: &[f32], out: &mut [u8]) {
        let mut group = Group::<V>::new(rows, self.problem.width());
        group.round::<L, LEN>(grid, self.problem);
        group.descend::<L, LEN>(grid, self.problem, self.sweeps);
        group.write::<L, LEN>(grid, self.tensor_type, out);
    }
}

#[cfg(test)]
mod tests;
