//! The cheapest damage under a budget of bytes: one choice of each, at most so many bytes together.

use std::collections::BTreeMap;

use super::{AllocationError, Choice, MatrixOptions};

/// Parts that the bytes between the smallest and the allowed size are counted in. What counting in parts leaves unused is spent
/// afterwards.
const PARTS: u64 = 40_000;

/// For each matrix the index of its choice, such that all together have at most `budget` bytes and the sum of damages is least, to
/// within the counting in parts.
///
/// # Errors
/// If the smallest choices together are larger than the budget.
pub fn cheapest(matrices: &[MatrixOptions], budget: u64) -> Result<Vec<usize>, AllocationError> {
    let smallest: Vec<&Choice> = matrices.iter().map(smallest_of).collect();
    let least: u64 = smallest.iter().map(|choice| choice.bytes).sum();
    let Some(free) = budget.checked_sub(least) else {
        let mut types = BTreeMap::new();
        smallest.iter().for_each(|choice| *types.entry(choice.tensor_type).or_insert(0) += 1);
        return Err(AllocationError::TooSmall {
            budget,
            smallest: least,
            types: types.into_iter().collect(),
        });
    };
    let part = free.div_ceil(PARTS).max(1);
    let mut chosen = by_parts(matrices, &smallest, part, (free / part) as usize);
    spend_rest(matrices, &mut chosen, budget);
    Ok(chosen)
}

/// Of equal size, the one of least damage.
fn smallest_of(matrix: &MatrixOptions) -> &Choice {
    let first = &matrix.choices[0];
    matrix.choices.iter().fold(first, |least, choice| {
        let smaller = (choice.bytes, choice.damage) < (least.bytes, least.damage);
        if smaller { choice } else { least }
    })
}

/// By dynamic programming; sizes above the smallest are counted in parts, rounded up.
fn by_parts(matrices: &[MatrixOptions], smallest: &[&Choice], part: u64, parts: usize) -> Vec<usize> {
    // least damage of the matrices so far with at most so many parts
    let mut least = vec![0.0_f64; parts + 1];
    let mut decisions: Vec<Vec<u8>> = Vec::with_capacity(matrices.len());
    for (matrix, smallest) in matrices.iter().zip(smallest) {
        let mut next = vec![f64::INFINITY; parts + 1];
        let mut decision = vec![0_u8; parts + 1];
        let worthwhile = matrix.choices.iter().enumerate().filter(|(_, choice)| !is_outdone(choice, matrix));
        for (index, choice) in worthwhile {
            let cost = parts_of(choice, smallest, part);
            let taken = next.iter_mut().zip(&mut decision).skip(cost);
            for ((next, decision), before) in taken.zip(&least) {
                let damage = before + choice.damage;
                if damage < *next {
                    // a matrix has fewer than 256 legal types
                    (*next, *decision) = (damage, index as u8);
                }
            }
        }
        least = next;
        decisions.push(decision);
    }
    let mut left = parts;
    let mut chosen: Vec<usize> = Vec::with_capacity(matrices.len());
    for ((matrix, smallest), decision) in matrices.iter().zip(smallest).zip(&decisions).rev() {
        let index = usize::from(decision[left]);
        left -= parts_of(&matrix.choices[index], smallest, part);
        chosen.push(index);
    }
    chosen.reverse();
    chosen
}

/// Whether another choice of the matrix has no more bytes and less damage, or fewer and no more: then this one is in no best plan.
fn is_outdone(choice: &Choice, matrix: &MatrixOptions) -> bool {
    let at = (choice.bytes, choice.damage);
    matrix.choices.iter().any(|other| {
        let other = (other.bytes, other.damage);
        other.0 <= at.0 && other.1 <= at.1 && other != at
    })
}

fn parts_of(choice: &Choice, smallest: &Choice, part: u64) -> usize {
    (choice.bytes - smallest.bytes).div_ceil(part) as usize
}

/// Takes the best single change that the rest of the budget allows, until there is none.
fn spend_rest(matrices: &[MatrixOptions], chosen: &mut [usize], budget: u64) {
    loop {
        let used: u64 =
            matrices.iter().zip(chosen.iter()).map(|(matrix, &index)| matrix.choices[index].bytes).sum();
        let mut best = (0.0, None);
        for (position, matrix) in matrices.iter().enumerate() {
            let now = matrix.choices[chosen[position]];
            for (index, choice) in matrix.choices.iter().enumerate() {
                let gain = now.damage - choice.damage;
                if gain > best.0 && used - now.bytes + choice.bytes <= budget {
                    best = (gain, Some((position, index)));
                }
            }
        }
        let Some((position, index)) = best.1 else { return };
        chosen[position] = index;
    }
}

#[cfg(test)]
mod tests {
    use secateur_model::{Role, TensorId, TensorType};

    use super::*;

    fn matrices(count: usize, seed: u64) -> Vec<MatrixOptions> {
        let mut state = seed;
        let mut number = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        let types = [TensorType::Q8_0, TensorType::Q5_0, TensorType::Q4_0, TensorType::Q2_K];
        (0..count)
            .map(|layer| {
                let (size, damage) = (1000 + number(100_000), 1.0 + number(1000) as f64);
                let choice = |(index, tensor_type): (usize, TensorType)| Choice {
                    tensor_type,
                    bytes: size * (8 - 2 * index as u64) / 8 + number(50),
                    damage: damage * 4_f64.powi(index as i32),
                };
                let choices = types.into_iter().enumerate().map(choice).collect();
                MatrixOptions { id: TensorId::in_layer(layer, Role::FfnUp), choices }
            })
            .collect()
    }

    fn totals(matrices: &[MatrixOptions], chosen: &[usize]) -> (u64, f64) {
        let choices = matrices.iter().zip(chosen).map(|(matrix, &index)| matrix.choices[index]);
        choices.fold((0, 0.0), |(bytes, damage), choice| (bytes + choice.bytes, damage + choice.damage))
    }

    #[test]
    fn finds_what_trying_everything_finds() {
        for seed in 0..20 {
            let matrices = matrices(7, seed);
            let (most, _) = totals(&matrices, &[0; 7]);
            for share in [0.4, 0.55, 0.7, 0.85, 1.0] {
                let budget = (most as f64 * share) as u64;
                let all = (0..4_usize.pow(7)).map(|code| -> Vec<usize> {
                    (0..7).map(|position| code / 4_usize.pow(position) % 4).collect()
                });
                let fitting =
                    all.map(|chosen| totals(&matrices, &chosen)).filter(|&(bytes, _)| bytes <= budget);
                let optimum = fitting.map(|(_, damage)| damage).fold(f64::INFINITY, f64::min);
                let (bytes, damage) = totals(&matrices, &cheapest(&matrices, budget).unwrap());
                assert!(bytes <= budget, "seed {seed}: {bytes} of {budget}");
                assert!(damage <= optimum * 1.0005, "seed {seed}: {damage}, best is {optimum}");
            }
        }
    }

    #[test]
    fn a_budget_that_nothing_meets_is_answered_with_the_smallest() {
        let matrices = matrices(5, 3);
        let smallest: u64 = matrices.iter().map(|matrix| smallest_of(matrix).bytes).sum();
        assert!(cheapest(&matrices, smallest).is_ok());
        let error = cheapest(&matrices, smallest - 1).unwrap_err();
        assert_eq!(
            error,
            AllocationError::TooSmall { budget: smallest - 1, smallest, types: vec![(TensorType::Q2_K, 5)] }
        );
        assert!(error.to_string().contains("5 matrices in q2_k"), "{error}");
    }
}
