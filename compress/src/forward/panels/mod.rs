//! Matrix products on processors with AVX2 or AVX-512: weights laid out once as the product reads them, so that no pass packs them again.
//!
//! The `gemm` crate, which candle calls, packs both sides anew for every product, and its threads wait for each other in between. Here
//! weights stay as they are while many texts pass, and tasks are independent. `bench-forward` measures the whole pass.

#![allow(clippy::inline_always)] // what is not inlined into the function with the instructions does not get them

mod kernel;

use std::arch::x86_64::{__m256, __m512};
use std::ops::Range;

use rayon::prelude::*;

use kernel::{MOST_TOKENS, PANEL, PanelRow, Tile, fetched, kernel_of};

/// Tokens of one task: few enough that their inputs stay in the second cache while all panels pass.
const TASK_ROWS: usize = 66;

/// Inputs that are summed up in registers at most: a panel of so many stays in the second cache, too.
const DEPTH: usize = 1024;

/// Numbers between the rows of a task, so that rows whose length is a power of two do not all want the same places in the cache.
const GAP: usize = 16;

/// Panels that a task takes at least: enough to pay for copying its inputs.
const TASK_PANELS: usize = 8;

/// Tasks for each thread: enough that one that is late does not matter.
const TASKS_OF_THREAD: usize = 8;

/// A matrix, `[out_features, in_features]`, in panels of 16 rows.
#[derive(Debug)]
pub(super) struct Panels {
    /// `[panels, in_features, 16]`; what is beyond the last row is 0.
    values: Vec<f32>,
    in_features: usize,
    out_features: usize,
}

/// Where a product goes: tasks write parts that do not overlap.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: every task writes only to the rows and columns that are its own, and nobody reads before all are done.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// A part of a product.
#[derive(Clone)]
struct Task<'a> {
    tokens: Range<usize>,
    panels: Range<usize>,
    bias: Option<&'a [f32]>,
    target: Target,
}

impl Panels {
    /// Whether this processor has the instructions.
    pub fn are_possible() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// Lays out `weight`, `[out_features, in_features]`; `None` if the processor has not the instructions.
    pub fn new(weight: &[f32], in_features: usize) -> Option<Self> {
        if !Self::are_possible() {
            return None;
        }
        let out_features = weight.len() / in_features;
        let mut values = vec![0.0; out_features.div_ceil(PANEL) * PANEL * in_features];
        let panels = values.par_chunks_exact_mut(PANEL * in_features);
        panels.zip(weight.par_chunks(PANEL * in_features)).for_each(|(panel, rows)| {
            for (lane, row) in rows.chunks_exact(in_features).enumerate() {
                for (values, value) in panel.chunks_exact_mut(PANEL).zip(row) {
                    values[lane] = *value;
                }
            }
        });
        Some(Self { values, in_features, out_features })
    }

    /// The matrix as it was, `[out_features, in_features]`.
    pub fn unpacked(&self) -> Vec<f32> {
        let mut weight = vec![0.0; self.out_features * self.in_features];
        let panels = self.values.par_chunks_exact(PANEL * self.in_features);
        weight.par_chunks_mut(PANEL * self.in_features).zip(panels).for_each(|(rows, panel)| {
            for (lane, row) in rows.chunks_exact_mut(self.in_features).enumerate() {
                for (value, values) in row.iter_mut().zip(panel.chunks_exact(PANEL)) {
                    *value = values[lane];
                }
            }
        });
        weight
    }

    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// `input · weightᵀ + bias`, `[tokens, out_features]`, from `input`, `[tokens, in_features]`. Each sum is made in the order of the inputs,
    /// whatever the number of tokens and threads.
    pub fn product(&self, input: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let tokens = input.len() / self.in_features;
        assert_eq!(input.len(), tokens * self.in_features, "inputs come in whole rows");
        let mut output: Vec<f32> = Vec::with_capacity(tokens * self.out_features);
        let target = Target(output.as_mut_ptr());
        let panels = self.out_features.div_ceil(PANEL);
        let blocks = tokens.div_ceil(TASK_ROWS);
        let rows = tokens.div_ceil(blocks.max(1)).max(1);
        let wanted = (TASKS_OF_THREAD * rayon::current_num_threads()).div_ceil(blocks.max(1));
        let panels_of_task = panels.div_ceil(wanted.clamp(1, (panels / TASK_PANELS).max(1)));
        let tasks_across = panels.div_ceil(panels_of_task);
        (0..blocks * tasks_across).into_par_iter().for_each(|task| {
            let (block, across) = (task / tasks_across, task % tasks_across);
            let tokens = block * rows..((block + 1) * rows).min(tokens);
            let panels = across * panels_of_task..((across + 1) * panels_of_task).min(panels);
            let task = Task { tokens, panels, bias, target };
            // SAFETY: `new` found the instructions of AVX2, and these are found here. The output has room for `tokens` times `out_features`
            // numbers, and each of its rows and panels belongs to one task.
            unsafe {
                if is_x86_feature_detected!("avx512f") {
                    self.task_with_avx512(input, task);
                } else {
                    self.task_with_avx2(input, task);
                }
            }
        });
        // SAFETY: the tasks have written each number.
        unsafe { output.set_len(tokens * self.out_features) };
        output
    }

    /// # Safety
    /// As [`task`](Self::task).
    #[target_feature(enable = "avx2,fma")]
    unsafe fn task_with_avx2(&self, input: &[f32], task: Task) {
        // SAFETY: the caller's.
        unsafe { self.task::<[__m256; 2]>(input, task) }
    }

    /// # Safety
    /// As [`task`](Self::task).
    #[target_feature(enable = "avx512f")]
    unsafe fn task_with_avx512(&self, input: &[f32], task: Task) {
        // SAFETY: the caller's.
        unsafe { self.task::<__m512>(input, task) }
    }

    /// The product of some tokens with some panels.
    ///
    /// # Safety
    /// The processor has the instructions of `R`; the target has room for these rows of `out_features` numbers; nobody else uses these columns of them.
    #[inline(always)]
    unsafe fn task<R: PanelRow>(&self, input: &[f32], task: Task) {
        let Task { tokens, panels, bias, target } = task;
        let Self { in_features, out_features, .. } = *self;
        let depth = in_features.div_ceil(in_features.div_ceil(DEPTH).max(1)).max(1);
        let stride = depth + GAP;
        let mut rows = vec![0.0; tokens.len() * stride];
        for start in (0..in_features).step_by(depth) {
            let depth = depth.min(in_features - start);
            for (row, token) in rows.chunks_exact_mut(stride).zip(tokens.clone()) {
                row[..depth].copy_from_slice(&input[token * in_features + start..][..depth]);
            }
            for panel in panels.clone() {
                let weights = self.part(panel, start, depth);
                let mut next = self.part((panel + 1).min(panels.end - 1), start, depth).as_ptr();
                let columns = PANEL.min(out_features - panel * PANEL);
                for (group, rows) in rows.chunks(R::TOKENS * stride).enumerate() {
                    let count = rows.len() / stride;
                    let first_token = tokens.start + group * R::TOKENS;
                    // SAFETY: the row and the column are inside the target.
                    let out = unsafe { target.0.add(first_token * out_features + panel * PANEL) };
                    let begin = start == 0;
                    let tile = if columns == PANEL {
                        Tile { out, stride: out_features, begin }
                    } else {
                        let mut edge = [0.0; MOST_TOKENS * PANEL];
                        if !begin {
                            // SAFETY: an earlier round wrote these columns of these rows.
                            unsafe { copy(out, out_features, edge.as_mut_ptr(), PANEL, count, columns) };
                        }
                        // SAFETY: `edge` has room for a whole tile, of which the columns inside the target are copied.
                        unsafe {
                            kernel_of::<R>(
                                count,
                                weights,
                                rows,
                                stride,
                                next,
                                Tile { out: edge.as_mut_ptr(), stride: PANEL, begin },
                            );
                            copy(edge.as_ptr(), PANEL, out, out_features, count, columns);
                        }
                        continue;
                    };
                    // SAFETY: the tile is `count` rows of 16 columns inside the target; there are `count` rows of `depth` inputs.
                    unsafe { kernel_of::<R>(count, weights, rows, stride, next, tile) };
                    next = next.wrapping_add(fetched(depth));
                }
            }
        }
        if let Some(bias) = bias {
            let columns = panels.start * PANEL..(panels.end * PANEL).min(out_features);
            for token in tokens {
                // SAFETY: these columns of this row belong to this task, and were written above.
                let row = unsafe {
                    std::slice::from_raw_parts_mut(
                        target.0.add(token * out_features + columns.start),
                        columns.len(),
                    )
                };
                row.iter_mut().zip(&bias[columns.clone()]).for_each(|(value, bias)| *value += bias);
            }
        }
    }

    /// Of one panel the weights of some inputs, `[depth, 16]`.
    fn part(&self, panel: usize, start: usize, depth: usize) -> &[f32] {
        &self.values[(panel * self.in_features + start) * PANEL..][..depth * PANEL]
    }
}

/// Copies a table of `rows` by `columns`.
///
/// # Safety
/// Both have such rows so many numbers apart, and do not overlap.
unsafe fn copy(
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    rows: usize,
    columns: usize,
) {
    for row in 0..rows {
        // SAFETY: the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(from.add(row * from_stride), to.add(row * to_stride), columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums in `f64`, one by one, and those of magnitudes.
    fn plain(input: &[f32], weight: &[f32], bias: &[f32], in_features: usize) -> Vec<(f64, f64)> {
        let dot = |x: &[f32], w: &[f32], bias: f32| {
            let start = (f64::from(bias), f64::from(bias.abs()));
            x.iter()
                .zip(w)
                .map(|(x, w)| f64::from(*x) * f64::from(*w))
                .fold(start, |(sum, size), product| (sum + product, size + product.abs()))
        };
        let rows = input.chunks_exact(in_features);
        rows.flat_map(|x| weight.chunks_exact(in_features).zip(bias).map(move |(w, bias)| dot(x, w, *bias)))
            .collect()
    }

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 7919 + seed * 31) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    #[test]
    fn products_are_those_of_plain_sums_at_every_edge() {
        for tokens in [0, 1, 2, 3, 4, 5, 6, 7, 65, 66, 67, 140] {
            for (in_features, out_features) in [(1, 1), (7, 15), (8, 16), (33, 17), (1024, 20), (2050, 40)] {
                let (input, weight) =
                    (numbers(tokens * in_features, 1), numbers(out_features * in_features, 2));
                let bias = numbers(out_features, 3);
                let Some(panels) = Panels::new(&weight, in_features) else { return };
                assert_eq!(panels.unpacked(), weight);
                let product = panels.product(&input, Some(&bias));
                let expected = plain(&input, &weight, &bias, in_features);
                assert_eq!(product.len(), expected.len());
                // rounding errors as a random walk ("A New Approach to Probabilistic Rounding Error Analysis", Higham and Mary 2019)
                let unit = f64::from(f32::EPSILON) * ((in_features + 1) as f64).sqrt();
                for (value, (expected, size)) in product.iter().zip(expected) {
                    let error = (f64::from(*value) - expected).abs();
                    assert!(error <= unit * size, "{tokens} {in_features} {out_features}: {error}");
                }
            }
        }
    }

    /// Sums are made in one order, so wider registers change no bit; what runs with AVX-512 runs here with plain numbers.
    #[test]
    fn registers_of_any_width_give_the_same_bits() {
        for (tokens, in_features, out_features) in [(1, 9, 16), (13, 40, 40), (66, 1030, 21), (57, 8, 5)] {
            let (input, weight) = (numbers(tokens * in_features, 1), numbers(out_features * in_features, 2));
            let bias = numbers(out_features, 3);
            let Some(panels) = Panels::new(&weight, in_features) else { return };
            let mut plain = vec![0.0; tokens * out_features];
            let target = Target(plain.as_mut_ptr());
            let task = Task {
                tokens: 0..tokens,
                panels: 0..out_features.div_ceil(PANEL),
                bias: Some(&bias),
                target,
            };
            // SAFETY: plain numbers need no instructions, and the whole target belongs to this task.
            unsafe { panels.task::<kernel::tests::Plain>(&input, task) };
            assert_eq!(panels.product(&input, Some(&bias)), plain);
        }
    }

    #[test]
    fn threads_and_company_change_no_bit() {
        let (input, weight) = (numbers(100 * 1100, 1), numbers(300 * 1100, 2));
        let Some(panels) = Panels::new(&weight, 1100) else { return };
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let one = pool(1).install(|| panels.product(&input, None));
        assert_eq!(pool(3).install(|| panels.product(&input, None)), one);
        assert_eq!(panels.product(&input[..1100], None), one[..300]);
    }
}
