//! Robust least squares with normal priors: damped Gauss–Newton (Levenberg 1944, Marquardt 1963) with Huber's weights.

/// Iterations after which nothing changes any more in practice.
const ITERATIONS: usize = 40;
/// Residuals beyond this many standard deviations count linearly.
const HUBER: f64 = 1.5;
/// Step of the numeric derivatives.
const STEP: f64 = 1e-4;

/// A normal prior of each parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

/// Minimises `Σ huber(residual) + Σ ((x - mean) / deviation)²` from the priors' means.
///
/// `residuals` fills one number per row, in standard deviations.
pub fn minimise(priors: &[Normal], rows: usize, residuals: &dyn Fn(&[f64], &mut [f64])) -> Vec<f64> {
    let size = priors.len();
    let mut x: Vec<f64> = priors.iter().map(|prior| prior.mean).collect();
    let (mut current, mut shifted) = (vec![0.0; rows], vec![0.0; rows]);
    residuals(&x, &mut current);
    let mut loss = total(&current, &x, priors);
    let mut damping = 1e-3;
    let mut jacobian = vec![0.0; rows * size];
    for _ in 0..ITERATIONS {
        for column in 0..size {
            let kept = x[column];
            x[column] = kept + STEP;
            residuals(&x, &mut shifted);
            x[column] = kept;
            for row in 0..rows {
                jacobian[row * size + column] = (shifted[row] - current[row]) / STEP;
            }
        }
        let (hessian, gradient) = normal_equations(&jacobian, &current, &x, priors);
        let mut improved = false;
        for _ in 0..8 {
            let step = solve(&hessian, &gradient, damping);
            let candidate: Vec<f64> =
                x.iter().zip(&step).map(|(x, step)| x - step.clamp(-1.0, 1.0)).collect();
            residuals(&candidate, &mut shifted);
            let candidate_loss = total(&shifted, &candidate, priors);
            if candidate_loss < loss {
                improved = loss - candidate_loss > 1e-5 * loss;
                (x, loss) = (candidate, candidate_loss);
                std::mem::swap(&mut current, &mut shifted);
                damping = (damping / 5.0).max(1e-9);
                break;
            }
            damping *= 6.0;
        }
        if !improved {
            break;
        }
    }
    x
}

fn total(residuals: &[f64], x: &[f64], priors: &[Normal]) -> f64 {
    let huber = |r: &f64| if r.abs() <= HUBER { r * r } else { HUBER * (2.0 * r.abs() - HUBER) };
    let prior = |(x, prior): (&f64, &Normal)| ((x - prior.mean) / prior.deviation).powi(2);
    residuals.iter().map(huber).sum::<f64>() + x.iter().zip(priors).map(prior).sum::<f64>()
}

/// `JᵀWJ + P` as `[size, size]` and `JᵀWr + P (x - mean)` as `[size]`.
fn normal_equations(
    jacobian: &[f64],
    residuals: &[f64],
    x: &[f64],
    priors: &[Normal],
) -> (Vec<f64>, Vec<f64>) {
    let size = x.len();
    let (mut hessian, mut gradient) = (vec![0.0; size * size], vec![0.0; size]);
    for (row, residual) in residuals.iter().enumerate() {
        let weight = if residual.abs() <= HUBER { 1.0 } else { HUBER / residual.abs() };
        let slopes = &jacobian[row * size..(row + 1) * size];
        for (a, &slope) in slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
            gradient[a] += weight * slope * residual;
            for b in 0..=a {
                hessian[a * size + b] += weight * slope * slopes[b];
            }
        }
    }
    for a in 0..size {
        let precision = priors[a].deviation.powi(-2);
        hessian[a * size + a] += precision;
        gradient[a] += precision * (x[a] - priors[a].mean);
    }
    (hessian, gradient)
}

/// Solves the damped system by Cholesky's decomposition; the lower triangle of `matrix` is read.
fn solve(matrix: &[f64], right: &[f64], damping: f64) -> Vec<f64> {
    let size = right.len();
    let mut lower = matrix.to_vec();
    for a in 0..size {
        lower[a * size + a] *= 1.0 + damping;
    }
    for a in 0..size {
        for b in 0..=a {
            let dot: f64 = (0..b).map(|k| lower[a * size + k] * lower[b * size + k]).sum();
            let rest = lower[a * size + b] - dot;
            // the priors keep the matrix positive definite; rounding cannot
            lower[a * size + b] = if a == b { rest.max(1e-12).sqrt() } else { rest / lower[b * size + b] };
        }
    }
    let mut solution = right.to_vec();
    for a in 0..size {
        let dot: f64 = (0..a).map(|k| lower[a * size + k] * solution[k]).sum();
        solution[a] = (solution[a] - dot) / lower[a * size + a];
    }
    for a in (0..size).rev() {
        let dot: f64 = (a + 1..size).map(|k| lower[k * size + a] * solution[k]).sum();
        solution[a] = (solution[a] - dot) / lower[a * size + a];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_an_outlier_is_found() {
        let points: Vec<(f64, f64)> =
            (0..20).map(|i| (f64::from(i), if i == 7 { 500.0 } else { 3.0 + 2.0 * f64::from(i) })).collect();
        let wide = Normal { mean: 0.0, deviation: 100.0 };
        let residuals = |x: &[f64], out: &mut [f64]| {
            for (out, (at, y)) in out.iter_mut().zip(&points) {
                *out = (x[0] + x[1] * at - y) / 0.1;
            }
        };
        let line = minimise(&[wide, wide], points.len(), &residuals);
        assert!((line[0] - 3.0).abs() < 0.1 && (line[1] - 2.0).abs() < 0.02, "{line:?}");
    }

    #[test]
    fn without_rows_the_prior_stays() {
        let prior = Normal { mean: 1.5, deviation: 0.1 };
        assert_eq!(minimise(&[prior], 0, &|_, _| {}), [1.5]);
    }
}
