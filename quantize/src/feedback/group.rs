//! Eight rows of a matrix on their way to codes.

use std::ops::Range;

use secateur_model::TensorType;

use super::grid::{Grid, LevelSet, Minima, Scales};
use super::layout::Block;
use super::problem::Problem;
use super::search::{Units, Whole, best_line, line_of, squares, units, whole_line};
use super::trial::{Eight, Line, round};
use crate::lanes::Lanes;
use crate::vector::Vector;

/// Rows side by side.
pub const ROWS: usize = 8;

/// Eight rows: what they should be, and what they are stored as.
pub struct Group<V> {
    /// What the rows should be, `[width]`.
    pub wanted: Vec<Eight<V>>,
    /// Levels of the codes, `[width]`.
    pub levels: Vec<Eight<V>>,
    /// Of every sub-block.
    pub lines: Vec<Line<V>>,
    /// Of every sub-block, where these are whole numbers.
    pub whole: Vec<Whole<V>>,
    /// Of every super-block.
    pub units: Vec<Units<V>>,
}

impl<V: Vector> Group<V> {
    /// `rows` is `[up to 8, width]`; rows that are missing are zeros.
    #[inline(always)]
    pub fn new(rows: &[f32], width: usize) -> Self {
        /// Larger numbers cannot be stored with half-precision scales; the squares of these stay finite.
        const LARGEST: f32 = 1e12;

        let mut wanted = Vec::with_capacity(width);
        for column in 0..width {
            let mut lanes = [0.0; ROWS];
            for (lane, row) in lanes.iter_mut().zip(rows.chunks_exact(width)) {
                *lane = row[column];
            }
            wanted.push(Lanes::load(&[lanes]).clamp(-LARGEST, LARGEST));
        }
        Self {
            levels: Vec::with_capacity(width),
            wanted,
            lines: Vec::new(),
            whole: Vec::new(),
            units: Vec::new(),
        }
    }

    /// Rounds block after block; what is lost in one is made good by the columns to its right.
    #[inline(always)]
    pub fn round<L: LevelSet, const LEN: usize>(&mut self, grid: &Grid<L>, problem: &Problem) {
        let width = self.wanted.len();
        let mut values = self.wanted.clone();
        let block_len = LEN * grid.subs;
        for start in (0..width).step_by(block_len) {
            let in_block: Vec<usize> = (start..start + block_len).step_by(LEN).collect();
            let near = self.begin_block::<L, LEN>(grid, &values, problem, &in_block);
            for (sub, &column) in in_block.iter().enumerate() {
                let factor = problem.local::<LEN>(column);
                let now = &values[column..column + LEN];
                let line = if matches!(grid.scales, Scales::Whole(..)) {
                    let (near, units) = (near[sub], self.units[start / block_len]);
                    let whole = whole_line::<L, V, LEN>(grid, now, &factor, units, near);
                    self.whole.push(whole);
                    line_of(whole, units)
                } else {
                    best_line::<L, V, LEN>(grid, now, &factor)
                };
                let rounded = round::<L, V, LEN>(grid.levels, now, &factor, line);
                self.lines.push(line);
                self.levels.extend_from_slice(&rounded.levels);
                let later = column + LEN..width;
                take_from(&mut values, later, &rounded.errors, problem.factor(), width, column);
            }
        }
    }

    /// Chooses what a super-block multiplies its whole numbers by; gives the lines that its sub-blocks would like best, or none if there is
    /// no super-block.
    #[inline(always)]
    fn begin_block<L: LevelSet, const LEN: usize>(
        &mut self,
        grid: &Grid<L>,
        values: &[Eight<V>],
        problem: &Problem,
        in_block: &[usize],
    ) -> Vec<Line<V>> {
        if !matches!(grid.scales, Scales::Whole(..)) {
            return Vec::new();
        }
        let mut lines = Vec::with_capacity(in_block.len());
        let mut weights = Vec::with_capacity(in_block.len());
        for &column in in_block {
            let (values, factor) = (&values[column..column + LEN], problem.local::<LEN>(column));
            let line = best_line::<L, V, LEN>(grid, values, &factor);
            weights.push(squares(grid, values, &factor, line));
            lines.push(line);
        }
        self.units.push(units(grid, &lines, &weights));
        lines
    }

    /// What the codes of a column stand for.
    #[inline(always)]
    pub fn stored<const LEN: usize>(&self, column: usize) -> Eight<V> {
        let line = self.lines[column / LEN];
        self.levels[column] * line.scale + line.offset
    }

    /// Writes the rows that there are; `out` is `[rows, row_bytes]`.
    #[inline(always)]
    pub fn write<L: LevelSet, const LEN: usize>(
        &self,
        grid: &Grid<L>,
        tensor_type: TensorType,
        out: &mut [u8],
    ) {
        let width = self.levels.len();
        let block_len = LEN * grid.subs;
        let block_bytes = tensor_type.block_bytes();
        let row_bytes = width / block_len * block_bytes;
        let codes: Vec<[f32; ROWS]> =
            (0..width).map(|column| grid.levels.code(self.levels[column]).store()[0]).collect();
        for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
            for (index, out) in out.chunks_exact_mut(block_bytes).enumerate() {
                let mut block = self.parameters(grid, index, row);
                for (code, column) in block.codes.iter_mut().zip(&codes[index * block_len..][..block_len]) {
                    *code = column[row] as u8;
                }
                block.write(tensor_type, out);
            }
        }
    }

    #[inline(always)]
    fn parameters<L>(&self, grid: &Grid<L>, index: usize, row: usize) -> Block {
        let of = |lanes: Eight<V>| lanes.store()[0][row];
        let mut block =
            Block { scale: 0.0, minimum: 0.0, scales: [0.0; 16], minima: [0.0; 16], codes: [0; 256] };
        if matches!(grid.scales, Scales::Whole(..)) {
            let units = self.units[index];
            block.scale = of(units.scale);
            block.minimum = of(units.minimum);
            for (sub, whole) in self.whole[index * grid.subs..][..grid.subs].iter().enumerate() {
                block.scales[sub] = of(whole.scale);
                block.minima[sub] = of(whole.minimum);
            }
        } else {
            let line = self.lines[index];
            block.scale = of(line.scale);
            block.minimum = if matches!(grid.minima, Minima::Half) { of(line.offset) } else { 0.0 };
        }
        block
    }
}

/// Subtracts from the columns `which` what `changes` in the columns from `first` on do to them: `matrix` is `[width, width]`, its row `k`
/// holds what each column does to column `k`.
#[inline(always)]
pub fn take_from<V: Vector, const LEN: usize>(
    values: &mut [Eight<V>],
    which: Range<usize>,
    changes: &[Eight<V>; LEN],
    matrix: &[f32],
    width: usize,
    first: usize,
) {
    for column in which {
        let row = &matrix[column * width + first..][..LEN];
        let mut value = values[column];
        for (&change, &effect) in changes.iter().zip(row) {
            value = value - change * Lanes::splat(effect);
        }
        values[column] = value;
    }
}
