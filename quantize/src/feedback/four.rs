//! Four neighbouring columns, whose levels some types choose together.

use super::trial::Eight;
use crate::lanes::Lanes;
use crate::patterns::Cost;
use crate::vector::Vector;

/// Four columns as they were rounded.
pub struct Four<V> {
    /// Levels of the codes.
    pub levels: [Eight<V>; 4],
    /// Error of each column, divided by its diagonal entry of the factor.
    pub errors: [Eight<V>; 4],
}

/// The part of an inverse factor that belongs to four columns.
pub struct FourFactor {
    /// Row `k` holds `U[j][k]` for `j < k`: what an error in column `j` does to column `k`.
    pub below: [[f32; 4]; 4],
    /// `1 / U[j][j]`
    pub inverse_diagonal: [f32; 4],
}

impl FourFactor {
    /// `T = (Uᵀ)⁻¹`, lower triangular: the errors of rounding are `T d`, `d` being the differences from what was wanted of all four.
    #[inline(always)]
    pub fn cost(&self) -> Cost {
        let mut cost = [[0.0; 4]; 4];
        for column in 0..4 {
            for row in column..4 {
                let mut entry = if row == column { 1.0 } else { 0.0 };
                for between in column..row {
                    entry -= self.below[row][between] * cost[between][column];
                }
                cost[row][column] = entry * self.inverse_diagonal[row];
            }
        }
        cost
    }
}

/// `T`, lower triangular, with `TᵀT` being the symmetric matrix; what is not positive on the way counts as nothing.
#[inline(always)]
pub fn cost_of(symmetric: &[[f32; 4]; 4]) -> Cost {
    let mut cost: Cost = [[0.0; 4]; 4];
    for row in (0..4).rev() {
        for column in (0..=row).rev() {
            let mut entry = symmetric[row][column];
            for later in row + 1..4 {
                entry -= cost[later][row] * cost[later][column];
            }
            cost[row][column] = if column == row {
                entry.max(0.0).sqrt()
            } else if cost[row][row] > 0.0 {
                entry / cost[row][row]
            } else {
                0.0
            };
        }
    }
    cost
}

/// `(TᵀT)⁻¹ b`; where `T` has a zero on its diagonal, that column stays where it is.
#[inline(always)]
pub fn solved<V: Vector>(cost: &Cost, mut values: [Eight<V>; 4]) -> [Eight<V>; 4] {
    let inverse = |row: usize| if cost[row][row] > 0.0 { 1.0 / cost[row][row] } else { 0.0 };
    for row in (0..4).rev() {
        for later in row + 1..4 {
            values[row] = values[row] - values[later] * Lanes::splat(cost[later][row]);
        }
        values[row] = values[row] * Lanes::splat(inverse(row));
    }
    for row in 0..4 {
        for earlier in 0..row {
            values[row] = values[row] - values[earlier] * Lanes::splat(cost[row][earlier]);
        }
        values[row] = values[row] * Lanes::splat(inverse(row));
    }
    values
}

/// `|T d|²`
#[inline(always)]
pub fn costs<V: Vector>(cost: &Cost, differences: [Eight<V>; 4]) -> Eight<V> {
    let mut sum = Lanes::zero();
    for row in 0..4 {
        let mut term = Lanes::zero();
        for column in 0..=row {
            term = term + differences[column] * Lanes::splat(cost[row][column]);
        }
        sum = sum + term * term;
    }
    sum
}

#[inline(always)]
pub fn added<V: Vector>(mut one: [Eight<V>; 4], other: [Eight<V>; 4]) -> [Eight<V>; 4] {
    for column in 0..4 {
        one[column] = one[column] + other[column];
    }
    one
}

#[inline(always)]
pub fn subtracted<V: Vector>(mut one: [Eight<V>; 4], other: [Eight<V>; 4]) -> [Eight<V>; 4] {
    for column in 0..4 {
        one[column] = one[column] - other[column];
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Portable;

    #[test]
    fn the_factor_of_a_symmetric_matrix_gives_it_back_and_solves_it() {
        let symmetric =
            [[2.0, 0.3, -0.2, 0.1], [0.3, 1.5, 0.4, 0.2], [-0.2, 0.4, 3.0, -0.5], [0.1, 0.2, -0.5, 1.0]];
        let cost = cost_of(&symmetric);
        for row in 0..4 {
            for column in 0..4 {
                let product: f32 = (0..4).map(|k| cost[k][row] * cost[k][column]).sum();
                assert!((product - symmetric[row][column]).abs() < 1e-6, "{row}, {column}: {product}");
            }
        }
        let wanted = [1.0, -2.0, 0.5, 3.0];
        let product = symmetric
            .map(|row| Lanes::<Portable, 1>::splat(row.iter().zip(wanted).map(|(a, b)| a * b).sum()));
        for (found, wanted) in solved(&cost, product).into_iter().zip(wanted) {
            assert!((found.store()[0][0] - wanted).abs() < 1e-5);
        }
    }

    #[test]
    fn the_cost_of_four_columns_is_what_rounding_them_one_by_one_loses() {
        let factor = FourFactor {
            below: [[0.0; 4], [0.2, 0.0, 0.0, 0.0], [-0.1, 0.3, 0.0, 0.0], [0.2, 0.1, -0.2, 0.0]],
            inverse_diagonal: [1.1, 0.8, 1.3, 0.9],
        };
        let difference = [0.4, -0.2, 0.3, 0.1];
        let mut errors = [0.0; 4];
        for column in 0..4 {
            let carried: f32 =
                (0..column).map(|earlier| errors[earlier] * factor.below[column][earlier]).sum();
            errors[column] = (difference[column] - carried) * factor.inverse_diagonal[column];
        }
        let expected: f32 = errors.iter().map(|error| error * error).sum();
        let found = costs(&factor.cost(), difference.map(Lanes::<Portable, 1>::splat)).store()[0][0];
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }
}
