//! The same factors again, what is in them, and how it ends early.

use super::*;
use crate::forward::ForwardError;
use crate::gradient::{OutputFactors, output_factors};
use crate::progress::Progress;
use secateur_model::{Role, TensorId};

fn factors(name: &str, seed: u64, threads: usize) -> OutputFactors {
    let (checkpoint, texts) = (checkpoint(name), texts(name));
    let full = [TensorId::in_layer(0, Role::AttentionKey), TensorId::in_layer(2, Role::FfnDown)];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| output_factors(&checkpoint, &texts, seed, &full, &Silent).unwrap())
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for name in MODELS {
        let alone = factors(name, 5, 1);
        for threads in [2, 3] {
            assert!(factors(name, 5, threads) == alone, "{name} with {threads} threads");
        }
    }
}

#[test]
fn a_seed_repeats_and_another_draws_other_labels() {
    let first = factors("qwen2", 5, 2);
    assert!(factors("qwen2", 5, 2) == first);
    let other = factors("qwen2", 6, 2);
    let embedding = TensorId::global(Role::TokenEmbedding);
    assert!(other.of(embedding) != first.of(embedding));
    // what does not depend on labels
    assert!(other.mean_probabilities() == first.mean_probabilities());
}

#[test]
fn the_diagonal_is_that_of_the_moments() {
    let factors = factors("gemma3", 5, 2);
    let id = TensorId::in_layer(2, Role::FfnDown);
    let diagonal = factors.moments(id).unwrap().averages().diagonal();
    for (square, expected) in factors.of(id).unwrap().iter().zip(diagonal) {
        assert!((square / expected - 1.0).abs() < 1e-4, "{square} instead of {expected}");
    }
    assert_eq!(factors.moments(TensorId::in_layer(1, Role::FfnDown)), None);
    assert_eq!(factors.of(TensorId::in_layer(0, Role::FfnNorm)), None);
    assert_eq!(factors.tokens(), 324);
}

#[test]
fn the_output_side_is_the_average_over_predictions() {
    let (name, width) = ("llama", 64);
    let (checkpoint, texts) = (checkpoint(name), texts(name));
    let factors = output_factors(&checkpoint, &texts, 1, &[], &Silent).unwrap();
    let forward = Forward::new(&checkpoint, Residency::Stream).unwrap();
    let mut hidden: Vec<Hidden> = texts.iter().map(|text| forward.embed(text).unwrap()).collect();
    forward.run_layers(&mut hidden, &mut NoTaps, &Silent).unwrap();
    let inputs: Vec<f32> =
        hidden.iter().flat_map(|hidden| forward.output_input(hidden, 0..hidden.tokens())).collect();
    let rows: Vec<Vec<f64>> = texts
        .iter()
        .flat_map(|text| log_probabilities(&checkpoint, forward.embed(text).unwrap()))
        .map(|row| row.into_iter().map(f64::exp).collect())
        .collect();
    let average = |term: &dyn Fn(&[f64], &[f32]) -> f64| {
        rows.iter().zip(inputs.chunks(width)).map(|(p, h)| term(p, h)).sum::<f64>() / rows.len() as f64
    };
    let close = |found: f32, expected: f64, what: &str| {
        assert!(
            (f64::from(found) - expected).abs() < 1e-5 * (1.0 + expected.abs()),
            "{what}: {found} instead of {expected}"
        );
    };
    for token in 0..256 {
        close(factors.mean_probabilities()[token], average(&|p, _| p[token]), "probability");
        close(factors.logit_factors()[token], average(&|p, _| p[token] * (1.0 - p[token])), "variance");
    }
    for (row, column) in [(0, 0), (3, 40), (63, 5), (17, 17)] {
        let expected = average(&|p, h| {
            let uncertainty = 1.0 - p.iter().map(|p| p * p).sum::<f64>();
            uncertainty * f64::from(h[row]) * f64::from(h[column])
        });
        close(factors.output_inputs()[row * width + column], expected, "moment");
    }
}

#[test]
fn a_text_without_tokens_changes_nothing() {
    let checkpoint = checkpoint("llama");
    let mut texts = texts("llama");
    let without = output_factors(&checkpoint, &texts, 1, &[], &Silent).unwrap();
    texts.push(Vec::new());
    assert!(output_factors(&checkpoint, &texts, 1, &[], &Silent).unwrap() == without);
    let nothing = output_factors(&checkpoint, &[Vec::new()], 1, &[], &Silent).unwrap();
    assert_eq!((nothing.tokens(), nothing.of(TensorId::global(Role::TokenEmbedding))), (0, None));
}

#[test]
fn an_interruption_is_an_error() {
    struct Impatient;
    impl Progress for Impatient {
        fn begin(&self, _stage: &'static str, _elements: u64) {}
        fn advance(&self, _elements: u64) {}
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let error = output_factors(&checkpoint("llama"), &texts("llama"), 1, &[], &Impatient).unwrap_err();
    assert!(matches!(error, ForwardError::Interrupted), "{error}");
}
