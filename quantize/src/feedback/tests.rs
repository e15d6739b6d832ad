use secateur_model::dequantize_row;

use super::*;
use crate::quantize_tensor;

const WIDTH: usize = 512;

fn quantized() -> impl Iterator<Item = TensorType> {
    TensorType::all().filter(|tensor_type| !tensor_type.is_float())
}

/// Numbers that look random, from -1 to 1, gathered around 0.
fn numbers(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        let mut sum = 0.0;
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        }
        sum / 3.0
    })
}

/// Second moments of inputs whose neighbours go together, some of them large.
fn second_moments() -> Vec<f32> {
    let samples = 2 * WIDTH;
    let mut second = vec![0.0; WIDTH * WIDTH];
    let mut noise = numbers(7);
    for _ in 0..samples {
        let mut input = [0.0; WIDTH];
        let (mut slow, common) = (0.0, noise.next().unwrap());
        for (column, value) in input.iter_mut().enumerate() {
            slow = 0.9 * slow + noise.next().unwrap();
            *value = slow + common + noise.next().unwrap() * if column % 50 == 7 { 9.0 } else { 1.0 };
        }
        for row in 0..WIDTH {
            for column in 0..WIDTH {
                second[row * WIDTH + column] += input[row] * input[column] / samples as f32;
            }
        }
    }
    second
}

fn problem() -> Problem {
    Problem::new(&second_moments(), WIDTH, 0.01).unwrap()
}

/// `(w - q) H (w - q)ᵀ` summed over rows.
fn loss(problem: &Problem, tensor_type: TensorType, wanted: &[f32], bytes: &[u8]) -> f64 {
    let mut stored = vec![0.0; wanted.len()];
    dequantize_row(tensor_type, bytes, &mut stored).unwrap();
    let mut loss = 0.0;
    for (wanted, stored) in wanted.chunks(WIDTH).zip(stored.chunks(WIDTH)) {
        let error: Vec<f64> = wanted.iter().zip(stored).map(|(w, q)| f64::from(w - q)).collect();
        for (row, hessian) in error.iter().zip(problem.hessian().chunks(WIDTH)) {
            loss += row * error.iter().zip(hessian).map(|(e, &h)| e * f64::from(h)).sum::<f64>();
        }
    }
    loss
}

#[test]
fn the_factor_turns_the_matrix_into_its_inverse() {
    let problem = problem();
    // H Uᵀ U = 1: each row of H times Uᵀ, then times U
    let (hessian, transposed) = (problem.hessian(), problem.factor());
    for row in [0, 3, 255, 511] {
        let middle: Vec<f64> = (0..WIDTH)
            .map(|j| {
                let product =
                    |k: usize| f64::from(hessian[row * WIDTH + k]) * f64::from(transposed[k * WIDTH + j]);
                (0..WIDTH).map(product).sum()
            })
            .collect();
        for column in 0..WIDTH {
            let product = |j: usize| middle[j] * f64::from(transposed[column * WIDTH + j]);
            let found: f64 = (0..WIDTH).map(product).sum();
            let expected = if row == column { 1.0 } else { 0.0 };
            assert!((found - expected).abs() < 1e-3, "{row}, {column}: {found}");
        }
    }
}

#[test]
fn each_step_loses_less_than_the_one_before() {
    let problem = problem();
    let second = second_moments();
    let diagonal: Vec<f32> = second.iter().step_by(WIDTH + 1).copied().collect();
    let wanted: Vec<f32> = numbers(1).take(19 * WIDTH).collect();
    for tensor_type in quantized() {
        let of = |bytes: &[u8]| loss(&problem, tensor_type, &wanted, bytes);
        let weighted = of(&quantize_tensor(tensor_type, &wanted, WIDTH, Some(&diagonal)).unwrap());
        let feedback = of(&round_matrix(tensor_type, &wanted, &problem, 0).unwrap());
        let descent = of(&round_matrix(tensor_type, &wanted, &problem, 3).unwrap());
        assert!(feedback < 0.8 * weighted, "{tensor_type}: {feedback} with feedback, {weighted} without");
        assert!(descent < feedback, "{tensor_type}: {descent} after, {feedback} before");
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_instructions() {
    let problem = problem();
    let wanted: Vec<f32> = numbers(2).take(20 * WIDTH).collect();
    for tensor_type in quantized() {
        let all = round_matrix(tensor_type, &wanted, &problem, 2).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = pool.install(|| round_matrix(tensor_type, &wanted, &problem, 2).unwrap());
        assert!(all == alone, "{tensor_type}");
        let mut portable = vec![0; all.len() / 20 * 8];
        let job = Job { tensor_type, problem: &problem, sweeps: 2 };
        job.run_anywhere(AnyGrid::of(tensor_type).unwrap(), &wanted[..8 * WIDTH], &mut portable);
        assert!(all[..portable.len()] == portable, "{tensor_type}");
    }
}

#[test]
fn zeros_and_numbers_that_are_exact_stay_what_they_are() {
    let problem = problem();
    for tensor_type in quantized() {
        let bytes = round_matrix(tensor_type, &[0.0; 3 * WIDTH], &problem, 2).unwrap();
        let mut stored = [1.0; 3 * WIDTH];
        dequantize_row(tensor_type, &bytes, &mut stored).unwrap();
        assert!(stored.iter().all(|&value| value == 0.0), "{tensor_type}");
    }
}

#[test]
fn moments_that_cannot_weigh_errors_are_refused() {
    assert_eq!(Problem::new(&[1.0; 6], 2, 0.01).unwrap_err(), ProblemError::WrongSize { found: 6, width: 2 });
    let error = Problem::new(&[1.0, f32::NAN, 0.0, 1.0], 2, 0.01).unwrap_err();
    assert!(matches!(error, ProblemError::NotFinite { row: 0, column: 1, .. }));
    let error = Problem::new(&[1.0, 9.0, 9.0, 1.0], 2, 0.01).unwrap_err();
    assert!(matches!(error, ProblemError::Singular { width: 2, .. }));
    // inputs that are always zero are no reason to stop
    assert!(Problem::new(&[0.0; 4], 2, 0.01).is_ok());
}
