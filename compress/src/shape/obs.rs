//! Which inputs of a projection can go when the others make up for them.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, Par, Side};

use super::importance::Projection;

/// Single inputs that go at a time, before the others are updated.
const AT_A_TIME: usize = 16;

/// Added to the diagonal of second moments, relative to its mean.
const DAMPING: f64 = 0.01;

/// Second moments that cannot be inverted: nothing was seen, or something that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the second moments of its inputs cannot be inverted")]
pub struct Singular;

/// What goes, and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct DropOrder {
    /// Units, from the one that goes first.
    pub units: Vec<u32>,
    /// For each, the squared error of the outputs, summed over them and averaged over tokens, once it and all before it are gone.
    pub losses: Vec<f64>,
}

/// At least `count` units of `unit` neighbouring inputs in the order in which they should go. After each step the remaining weights and the
/// inverse of the second moments are what they would be without the inputs that went:
///
/// ```text
/// W   <- W   - W_S ([H⁻¹]_SS)⁻¹ [H⁻¹]_S,:
/// H⁻¹ <- H⁻¹ - [H⁻¹]_:,S ([H⁻¹]_SS)⁻¹ [H⁻¹]_S,:     (Woodbury)
/// ```
///
/// Sources: "Second order derivatives for network pruning: Optimal Brain Surgeon"; in groups: "ZipLM: Inference-Aware Structured Pruning of
/// Language Models".
///
/// # Errors
/// If the second moments cannot be inverted.
pub fn drop_order(projection: &Projection, unit: usize, count: usize) -> Result<DropOrder, Singular> {
    let mut state = State::new(projection)?;
    let units = projection.width() / unit;
    let mut alive: Vec<u32> = (0..units as u32).collect();
    let mut order = DropOrder { units: Vec::with_capacity(count), losses: Vec::with_capacity(count) };
    let step = if unit == 1 { AT_A_TIME } else { 1 };
    let mut loss = 0.0;
    while order.units.len() < count && !alive.is_empty() {
        let mut scored: Vec<(f64, u32)> =
            alive.iter().map(|&index| (state.score(index, unit), index)).collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        scored.truncate(step.min(count - order.units.len()));
        let chosen: Vec<u32> = scored.into_iter().map(|(_, index)| index).collect();
        let inputs: Vec<usize> =
            chosen.iter().flat_map(|&index| index as usize * unit..(index as usize + 1) * unit).collect();
        let lost = state.remove(&inputs)?;
        for (done, &index) in (1..).zip(&chosen) {
            order.units.push(index);
            order.losses.push(loss + lost * f64::from(done) / chosen.len() as f64);
        }
        loss += lost;
        alive.retain(|index| !chosen.contains(index));
    }
    Ok(order)
}

/// The diagonal of `H⁻¹`, `[width]`, of second moments `[width, width]`.
///
/// # Errors
/// If they cannot be inverted.
pub fn inverse_diagonal(second: &[f32], width: usize) -> Result<Vec<f64>, Singular> {
    let inverse = inverse(second, width)?;
    Ok((0..width).map(|index| inverse[(index, index)]).collect())
}

/// `H⁻¹` of damped second moments, `[width, width]`.
fn inverse(second: &[f32], width: usize) -> Result<Mat<f64>, Singular> {
    let mean = second.iter().step_by(width + 1).map(|&value| f64::from(value)).sum::<f64>() / width as f64;
    if mean.is_nan() || mean <= 0.0 {
        return Err(Singular);
    }
    let damped = Mat::from_fn(width, width, |row, column| {
        let added = if row == column { DAMPING * mean } else { 0.0 };
        f64::from(second[row * width + column]) + added
    });
    Ok(damped.llt(Side::Lower).map_err(|_| Singular)?.inverse())
}

/// What remains of a projection.
struct State {
    /// `[out_features, width]`
    weights: Mat<f64>,
    /// `H⁻¹`, `[width, width]`
    inverse: Mat<f64>,
}

impl State {
    fn new(projection: &Projection) -> Result<Self, Singular> {
        let width = projection.width();
        let inverse = inverse(projection.second, width)?;
        let weight = |output: usize| projection.outputs.get(output).map_or(1.0, |&g| f64::from(g).sqrt());
        let weights = Mat::from_fn(projection.weights.len() / width, width, |output, column| {
            weight(output) * f64::from(projection.weights[output * width + column])
        });
        Ok(Self { weights, inverse })
    }

    /// What is lost if this unit goes alone; for a unit of several inputs, exactly as [`remove`](Self::remove) would have it.
    fn score(&self, index: u32, unit: usize) -> f64 {
        let first = index as usize * unit;
        if unit == 1 {
            let squares: f64 = self.weights.col(first).iter().map(|value| value * value).sum();
            return squares / self.inverse[(first, first)];
        }
        let inputs: Vec<usize> = (first..first + unit).collect();
        self.lost(&inputs).map_or(f64::INFINITY, |(lost, _)| lost)
    }

    /// `tr(W_S ([H⁻¹]_SS)⁻¹ W_Sᵀ)`, and `([H⁻¹]_SS)⁻¹ W_Sᵀ`, `[inputs, out_features]`.
    fn lost(&self, inputs: &[usize]) -> Result<(f64, Mat<f64>), Singular> {
        let block = self.block(inputs).llt(Side::Lower).map_err(|_| Singular)?;
        let outputs = self.weights.nrows();
        let theirs = Mat::from_fn(inputs.len(), outputs, |row, output| self.weights[(output, inputs[row])]);
        let solved = block.solve(&theirs);
        let products = (0..outputs).flat_map(|output| {
            let pair = theirs.col(output).iter().zip(solved.col(output).iter());
            pair.map(|(a, b)| a * b).collect::<Vec<_>>()
        });
        Ok((products.sum(), solved))
    }

    /// `[H⁻¹]_SS`
    fn block(&self, inputs: &[usize]) -> Mat<f64> {
        Mat::from_fn(inputs.len(), inputs.len(), |row, column| self.inverse[(inputs[row], inputs[column])])
    }

    /// Takes inputs away; gives what is lost.
    fn remove(&mut self, inputs: &[usize]) -> Result<f64, Singular> {
        let (lost, solved_weights) = self.lost(inputs)?;
        let width = self.inverse.nrows();
        // [H⁻¹]_S,: and ([H⁻¹]_SS)⁻¹ [H⁻¹]_S,:, both [inputs, width]
        let rows = Mat::from_fn(inputs.len(), width, |row, column| self.inverse[(inputs[row], column)]);
        let block = self.block(inputs).llt(Side::Lower).map_err(|_| Singular)?;
        let solved = block.solve(&rows);
        matmul(&mut self.weights, Accum::Add, solved_weights.transpose(), &rows, -1.0, Par::Seq);
        matmul(&mut self.inverse, Accum::Add, rows.transpose(), &solved, -1.0, Par::Seq);
        // what should be zero now is, to the last bit, so that rounding errors do not come back
        for &input in inputs {
            self.weights.col_mut(input).fill(0.0);
            self.inverse.col_mut(input).fill(0.0);
            self.inverse.row_mut(input).fill(0.0);
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that repeat late.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index + seed) * 7_919 % 10_007) as f32 / 5_003.5 - 1.0).collect()
    }

    const WIDTH: usize = 24;
    const OUTPUTS: usize = 5;

    /// Inputs that go together: products of eight numbers with a matrix, and some noise.
    fn second() -> Vec<f32> {
        let mixing = numbers(WIDTH * 8, 3);
        let mut second = vec![0.0; WIDTH * WIDTH];
        for row in 0..WIDTH {
            for column in 0..WIDTH {
                let product: f32 = (0..8).map(|k| mixing[row * 8 + k] * mixing[column * 8 + k]).sum();
                second[row * WIDTH + column] = product + if row == column { 0.1 } else { 0.0 };
            }
        }
        second
    }

    /// The least of `|(W - W') x|²` over all `W'` that do not read `gone`, by solving the normal equations anew.
    fn least_error(weights: &[f32], second: &[f32], gone: &[usize]) -> f64 {
        let mean = (0..WIDTH).map(|index| f64::from(second[index * (WIDTH + 1)])).sum::<f64>() / WIDTH as f64;
        let h = Mat::from_fn(WIDTH, WIDTH, |row, column| {
            f64::from(second[row * WIDTH + column]) + if row == column { DAMPING * mean } else { 0.0 }
        });
        let kept: Vec<usize> = (0..WIDTH).filter(|index| !gone.contains(index)).collect();
        let w = Mat::from_fn(OUTPUTS, WIDTH, |row, column| f64::from(weights[row * WIDTH + column]));
        let h_kept = Mat::from_fn(kept.len(), kept.len(), |row, column| h[(kept[row], kept[column])]);
        let cross = &w * &h;
        let right = Mat::from_fn(kept.len(), OUTPUTS, |row, output| cross[(output, kept[row])]);
        let solved = h_kept.llt(Side::Lower).unwrap().solve(&right);
        let mut error = w.clone();
        for (row, &column) in kept.iter().enumerate() {
            for output in 0..OUTPUTS {
                error[(output, column)] -= solved[(row, output)];
            }
        }
        let product = &error * &h;
        (0..OUTPUTS).map(|o| (0..WIDTH).map(|c| product[(o, c)] * error[(o, c)]).sum::<f64>()).sum()
    }

    #[test]
    fn losses_are_those_of_the_best_weights_without_what_is_gone() {
        let (weights, second) = (numbers(OUTPUTS * WIDTH, 11), second());
        let (mean, made_by) = (vec![0.0; WIDTH], vec![0.0; WIDTH]);
        let projection =
            Projection { weights: &weights, second: &second, mean: &mean, made_by: &made_by, outputs: &[] };
        for unit in [1, 4] {
            let order = drop_order(&projection, unit, WIDTH / unit / 2).unwrap();
            for (done, loss) in (1..).zip(&order.losses) {
                // single inputs go in steps: what lies inside one is shared out
                if unit == 1 && done != order.units.len() {
                    continue;
                }
                let gone: Vec<usize> = order.units[..done]
                    .iter()
                    .flat_map(|&index| index as usize * unit..(index as usize + 1) * unit)
                    .collect();
                let expected = least_error(&weights, &second, &gone);
                assert!((loss / expected - 1.0).abs() < 1e-9, "{unit} {done}: {loss}, {expected}");
            }
        }
    }

    #[test]
    fn groups_go_in_the_order_of_what_they_cost() {
        let (weights, second) = (numbers(OUTPUTS * WIDTH, 11), second());
        let (mean, made_by) = (vec![0.0; WIDTH], vec![0.0; WIDTH]);
        let projection =
            Projection { weights: &weights, second: &second, mean: &mean, made_by: &made_by, outputs: &[] };
        let order = drop_order(&projection, 4, 1).unwrap();
        let cost =
            |group: usize| least_error(&weights, &second, &(group * 4..group * 4 + 4).collect::<Vec<_>>());
        let cheapest = (0..WIDTH / 4).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap();
        assert_eq!(order.units, [cheapest as u32]);
    }

    #[test]
    fn nothing_seen_is_an_error() {
        let zeros = vec![0.0; WIDTH * WIDTH];
        let projection = Projection {
            weights: &zeros[..WIDTH],
            second: &zeros,
            mean: &zeros[..WIDTH],
            made_by: &zeros[..WIDTH],
            outputs: &[],
        };
        assert_eq!(drop_order(&projection, 1, 3), Err(Singular));
    }
}
