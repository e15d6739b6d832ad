//! Better codes, scales and minima, one at a time, under the whole quadratic form.
//!
//! Rounding with feedback looks only to the right. Here every code, every scale and every minimum is set in turn to the value that
//! loses least while all others stay; nothing is changed that does not gain.

use super::grid::{Grid, LevelSet, Minima, Scales};
use super::group::{Group, take_from};
use super::problem::Problem;
use super::search::{Units, line_of};
use super::trial::{Eight, Line};
use crate::lanes::{Lanes, halved};
use crate::vector::Vector;

impl<V: Vector> Group<V> {
    /// Goes over all columns `sweeps` times.
    #[inline(always)]
    pub fn descend<L: LevelSet, const LEN: usize>(
        &mut self,
        grid: &Grid<L>,
        problem: &Problem,
        sweeps: usize,
    ) {
        if sweeps == 0 {
            return;
        }
        let mut slope = self.slope::<LEN>(problem);
        for _ in 0..sweeps {
            for sub in 0..self.lines.len() {
                self.improve_line::<L, LEN>(grid, problem, &mut slope, sub);
                self.improve_codes::<L, LEN>(grid, problem, &mut slope, sub);
            }
        }
    }

    /// `(wanted - stored) H`, `[width]`: what is gained, at first, by making a column larger.
    #[inline(always)]
    fn slope<const LEN: usize>(&self, problem: &Problem) -> Vec<Eight<V>> {
        let width = self.wanted.len();
        let mut slope = vec![Lanes::zero(); width];
        for start in (0..width).step_by(LEN) {
            let mut surplus = [Lanes::zero(); LEN];
            for (index, surplus) in surplus.iter_mut().enumerate() {
                *surplus = self.stored::<LEN>(start + index) - self.wanted[start + index];
            }
            take_from(&mut slope, 0..width, &surplus, problem.hessian(), width, start);
        }
        slope
    }

    /// Moves scale and minimum of a sub-block to where its codes fit best.
    #[inline(always)]
    fn improve_line<L: LevelSet, const LEN: usize>(
        &mut self,
        grid: &Grid<L>,
        problem: &Problem,
        slope: &mut [Eight<V>],
        sub: usize,
    ) {
        if !matches!(grid.scales, Scales::Power) {
            let levels: [Eight<V>; LEN] = std::array::from_fn(|index| self.levels[sub * LEN + index]);
            self.move_along::<LEN>(problem, slope, sub, &levels, |group, step| {
                group.scale_step(grid, sub, step)
            });
        }
        if !matches!(grid.minima, Minima::None) {
            let ones = [Lanes::splat(1.0); LEN];
            self.move_along::<LEN>(problem, slope, sub, &ones, |group, step| {
                group.minimum_step(grid, sub, step)
            });
        }
    }

    /// Changes the stored numbers of a sub-block by a multiple of `direction`; `storable` gives the step that can be stored instead of
    /// the best one, with the line and whole numbers that it leads to.
    #[inline(always)]
    fn move_along<const LEN: usize>(
        &mut self,
        problem: &Problem,
        slope: &mut [Eight<V>],
        sub: usize,
        direction: &[Eight<V>; LEN],
        storable: impl Fn(&Self, Eight<V>) -> Step<V>,
    ) {
        let (start, width) = (sub * LEN, self.wanted.len());
        let (mut gain, mut curvature) = (Lanes::zero(), Lanes::zero());
        for (index, &along) in direction.iter().enumerate() {
            gain = gain + along * slope[start + index];
            let row = &problem.hessian()[(start + index) * width + start..][..LEN];
            let mut effect = Lanes::zero();
            for (&along, &entry) in direction.iter().zip(row) {
                effect = effect + along * Lanes::splat(entry);
            }
            curvature = curvature + along * effect;
        }
        let step = storable(self, gain * curvature.inverse());
        // the loss changes by `s² curvature - 2 s gain`
        let change = step.size * (step.size * curvature - gain - gain);
        let size = change.if_less(Lanes::zero(), step.size, Lanes::zero());
        self.accept(sub, change, step);
        let mut changes = [Lanes::zero(); LEN];
        for (changes, &along) in changes.iter_mut().zip(direction) {
            *changes = size * along;
        }
        if !all_zero(&changes) {
            take_from(slope, 0..width, &changes, problem.hessian(), width, start);
        }
    }

    /// Takes over a step in the rows where it gains.
    #[inline(always)]
    fn accept(&mut self, sub: usize, change: Eight<V>, step: Step<V>) {
        let zero = Lanes::zero();
        let line = &mut self.lines[sub];
        line.scale = change.if_less(zero, step.line.scale, line.scale);
        line.offset = change.if_less(zero, step.line.offset, line.offset);
        if let Some(whole) = self.whole.get_mut(sub) {
            whole.scale = change.if_less(zero, step.whole.0, whole.scale);
            whole.minimum = change.if_less(zero, step.whole.1, whole.minimum);
        }
    }

    #[inline(always)]
    fn scale_step<L>(&self, grid: &Grid<L>, sub: usize, wanted: Eight<V>) -> Step<V> {
        let line = self.lines[sub];
        if let Scales::Whole(scales) = grid.scales {
            let (mut whole, units) = (self.whole[sub], self.units_of(grid, sub));
            whole.scale = scales.nearest((line.scale + wanted) * units.scale.inverse());
            let moved = line_of(whole, units);
            return Step { size: moved.scale - line.scale, line: moved, whole: (whole.scale, whole.minimum) };
        }
        let scale = (line.scale + wanted).map(halved);
        Step { size: scale - line.scale, line: Line { scale, ..line }, whole: (Lanes::zero(), Lanes::zero()) }
    }

    #[inline(always)]
    fn minimum_step<L>(&self, grid: &Grid<L>, sub: usize, wanted: Eight<V>) -> Step<V> {
        let line = self.lines[sub];
        if let Minima::Whole(highest) = grid.minima {
            let (mut whole, units) = (self.whole[sub], self.units_of(grid, sub));
            let minimum = (line.offset + wanted).negated() * units.minimum.inverse();
            whole.minimum = minimum.clamp(0.0, highest).round();
            let moved = line_of(whole, units);
            return Step {
                size: moved.offset - line.offset,
                line: moved,
                whole: (whole.scale, whole.minimum),
            };
        }
        let offset = (line.offset + wanted).map(halved);
        Step {
            size: offset - line.offset,
            line: Line { offset, ..line },
            whole: (Lanes::zero(), Lanes::zero()),
        }
    }

    #[inline(always)]
    fn units_of<L>(&self, grid: &Grid<L>, sub: usize) -> Units<V> {
        self.units[sub / grid.subs]
    }

    /// Sets every code of a sub-block to the one that loses least.
    #[inline(always)]
    fn improve_codes<L: LevelSet, const LEN: usize>(
        &mut self,
        grid: &Grid<L>,
        problem: &Problem,
        slope: &mut [Eight<V>],
        sub: usize,
    ) {
        let (start, width) = (sub * LEN, self.wanted.len());
        let scale = self.lines[sub].scale;
        let mut changes = [Lanes::zero(); LEN];
        for first in (0..LEN).step_by(4) {
            let row = |index: usize| &problem.hessian()[(start + first + index) * width + start..][..LEN];
            let mut here: [Eight<V>; 4] = std::array::from_fn(|index| slope[start + first + index]);
            for (index, here) in here.iter_mut().enumerate() {
                for (&change, &entry) in changes[..first].iter().zip(row(index)) {
                    *here = *here - change * Lanes::splat(entry);
                }
            }
            let levels: [Eight<V>; 4] = std::array::from_fn(|index| self.levels[start + first + index]);
            let hessian =
                std::array::from_fn(|index| std::array::from_fn(|column| row(index)[first + column]));
            let better = grid.levels.better_four(levels, here, &hessian, scale);
            for index in 0..4 {
                self.levels[start + first + index] = better[index];
                changes[first + index] = better[index] * scale - levels[index] * scale;
            }
        }
        if !all_zero(&changes) {
            take_from(slope, 0..width, &changes, problem.hessian(), width, start);
        }
    }
}

/// A change of a line that can be stored.
#[derive(Clone, Copy)]
struct Step<V> {
    size: Eight<V>,
    line: Line<V>,
    /// Whole scale and whole minimum.
    whole: (Eight<V>, Eight<V>),
}

#[inline(always)]
fn all_zero<V: Vector>(values: &[Eight<V>]) -> bool {
    let mut magnitude = Lanes::zero();
    for &value in values {
        magnitude = magnitude.max(value.max(value.negated()));
    }
    magnitude.largest() == 0.0
}
