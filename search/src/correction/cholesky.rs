//! Small positive definite systems.

/// `x` of `A x = b` for a positive definite `A` given as its lower triangle, row by row; by Cholesky's factors, in place.
pub(super) fn solve_positive_definite(mut lower: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let size = b.len();
    for row in 0..size {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| lower[row][k] * lower[column][k]).sum();
            let rest = lower[row][column] - known;
            lower[row][column] = if row == column { rest.sqrt() } else { rest / lower[column][column] };
        }
        let known: f64 = (0..row).map(|k| lower[row][k] * b[k]).sum();
        b[row] = (b[row] - known) / lower[row][row];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|k| lower[k][row] * b[k]).sum();
        b[row] = (b[row] - known) / lower[row][row];
    }
    b
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn triangular_solves_are_right() {
        let mut generator = SmallRng::seed_from_u64(4);
        let half: Vec<Vec<f64>> =
            (0..7).map(|_| (0..7).map(|_| generator.gen_range(-1.0..1.0)).collect()).collect();
        let entry = |i: usize, j: usize| {
            (0..7).map(|k| half[i][k] * half[j][k]).sum::<f64>() + if i == j { 0.1 } else { 0.0 }
        };
        let b: Vec<f64> = (0..7).map(|n| n as f64).collect();
        let x = solve_positive_definite(
            (0..7).map(|i| (0..=i).map(|j| entry(i, j)).collect()).collect(),
            b.clone(),
        );
        for (i, value) in b.iter().enumerate() {
            let product: f64 = (0..7).map(|j| entry(i, j) * x[j]).sum();
            assert!((product - value).abs() < 1e-9);
        }
    }
}
