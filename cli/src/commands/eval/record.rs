//! From measurements to the record that is printed.

use std::path::Path;

use secateur_compress::measure::{Comparison, Divergence, Estimate, Scores};
use secateur_reports::evaluation::{self, Evaluation, Prediction};

use super::input::Text;
use crate::arguments::EvalArguments;

/// A record with nothing measured yet.
pub fn begin(arguments: &EvalArguments, context: usize) -> Evaluation {
    let base = arguments.base.as_ref().map(|path| path.display().to_string());
    Evaluation {
        schema: 1,
        model: arguments.model.clone(),
        parent: arguments.against.clone().or(base),
        context,
        predictions: Vec::new(),
        divergences: Vec::new(),
        remarks: Vec::new(),
        tokens_per_second: 0.0,
        seconds: 0.0,
        peak_memory: None,
    }
}

/// Adds how well the model predicts a text.
pub fn add_scores(evaluation: &mut Evaluation, text: &Text, scores: &Scores) {
    evaluation.predictions.push(prediction(text, &evaluation.model, scores));
}

fn prediction(text: &Text, model: &str, scores: &Scores) -> Prediction {
    Prediction {
        text: text.name.clone(),
        model: short_name(model),
        chunks: scores.losses.len(),
        tokens: scores.tokens(),
        bytes: scores.bytes.iter().sum(),
        perplexity: estimate(scores.perplexity()),
        bits_per_byte: estimate(scores.bits_per_byte()),
        loss_of_chunk: scores.losses.iter().map(|losses| mean(losses.iter().copied())).collect(),
    }
}

/// Adds parent, child, and how far they are apart.
pub fn add_comparison(evaluation: &mut Evaluation, text: &Text, comparison: &Comparison) {
    let parent = evaluation.parent.clone().unwrap_or_default();
    evaluation.predictions.push(prediction(text, &parent, &comparison.parent));
    evaluation.predictions.push(prediction(text, &evaluation.model, &comparison.child));
    evaluation.divergences.push(divergence(text, &comparison.divergence));
    evaluation.remarks.extend(remark_on_vocabularies(text));
}

/// What to know where parent and child have different vocabularies.
fn remark_on_vocabularies(text: &Text) -> Option<String> {
    let alignment = text.alignment.as_ref()?;
    Some(format!(
        "{}: the vocabularies differ; divergence is over the {} tokens that both have, renormalised, at {} of {} positions, those \
         where the same token follows in both; compare bits per byte, not perplexities",
        text.name,
        alignment.shared_tokens(),
        alignment.positions(),
        text.chunks.scored_tokens()
    ))
}

fn divergence(text: &Text, divergence: &Divergence) -> evaluation::Divergence {
    evaluation::Divergence {
        text: text.name.clone(),
        positions: divergence.count(),
        mean: estimate(divergence.mean()),
        median: estimate(divergence.quantile(0.5)),
        percentile_99: estimate(divergence.quantile(0.99)),
        maximum: divergence.maximum(),
        same_top: estimate(divergence.same_top()),
        correlation: estimate(divergence.correlation()),
        log_perplexity_ratio: estimate(divergence.log_perplexity_ratio()),
        mean_of_chunk: divergence.mean_of_chunk(),
    }
}

/// The last part of a path: tables are narrow.
fn short_name(model: &str) -> String {
    let name = Path::new(model).file_name();
    name.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn estimate(estimate: Estimate) -> evaluation::Estimate {
    evaluation::Estimate { value: estimate.value, error: estimate.error }
}
