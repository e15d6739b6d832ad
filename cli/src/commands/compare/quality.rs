//! What is known of a model's quality: what its run says, or what is measured now.

use std::path::Path;

use secateur_compress::measure::{Estimate, Scores};
use secateur_compress::{Quality, RunRecord};
use secateur_reports::comparison::{Figure, Metric};

use crate::arguments::CompareArguments;
use crate::commands::eval::{Measured, Text, measure_on};
use crate::console::Console;
use crate::model_argument;

/// What is known of a model's quality.
type Figures = Vec<(Metric, Figure)>;

/// What a run says of itself.
pub fn told(record: &RunRecord) -> Figures {
    let Some(quality) = &record.quality else { return Vec::new() };
    let [text, tokens, against] = labels(record, quality);
    let figure =
        |estimate: Estimate, label: &str| Figure::measured(estimate.value, estimate.error, label.to_owned());
    vec![
        (Metric::Divergence, figure(quality.divergence, &against)),
        (Metric::Divergence99, figure(quality.divergence_99, &against)),
        (Metric::SameTop, figure(quality.same_top, &against)),
        (Metric::Perplexity, figure(quality.perplexity, &tokens)),
        (Metric::BitsPerByte, figure(quality.bits_per_byte, &text)),
    ]
}

/// The text; the text in tokens; the text in tokens beside the parent.
pub fn labels(record: &RunRecord, quality: &Quality) -> [String; 3] {
    let text = format!(
        "{} tokens held out of the calibration text ({})",
        quality.scored_tokens,
        short(&quality.text)
    );
    let tokens = format!("{text}, a vocabulary of {}", quality.vocabulary);
    let weights = record.sources.first().map_or(String::new(), |file| format!(" ({})", short(&file.sha256)));
    let against = format!("{tokens}, against {}{weights}", record.source);
    [text, tokens, against]
}

/// Enough of a hash to tell it from others.
fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// Measures every model on one text now; `None` for a row without a model.
pub fn measure_all<'a>(
    arguments: &CompareArguments,
    text: &Path,
    words: impl Iterator<Item = Option<&'a str>>,
    console: &Console,
) -> anyhow::Result<Vec<Option<Figures>>> {
    let parent =
        arguments.against.as_deref().map(|parent| model_argument::open(parent, console)).transpose()?;
    let progress = console.progress();
    let measure = |word: Option<&str>| {
        let Some(word) = word else { return Ok(None) };
        let child = model_argument::open(word, console)?;
        let (text, measured) = measure_on(text, arguments.chunks, &child, parent.as_ref(), &progress)?;
        let vocabulary = child.spec.vocabulary_size;
        Ok(Some(figures(&text, &measured, vocabulary, arguments.against.as_deref())))
    };
    words.map(measure).collect()
}

fn figures(text: &Text, measured: &Measured, vocabulary: usize, parent: Option<&str>) -> Figures {
    let on_text = format!("{} in contexts of {}", text.name, text.chunks.context());
    let tokens = format!("{on_text}, a vocabulary of {vocabulary}");
    let figure =
        |estimate: Estimate, label: &str| Figure::measured(estimate.value, estimate.error, label.to_owned());
    let prediction = |scores: &Scores| {
        [
            (Metric::Perplexity, figure(scores.perplexity(), &tokens)),
            (Metric::BitsPerByte, figure(scores.bits_per_byte(), &on_text)),
        ]
    };
    match measured {
        Measured::Alone(scores) => prediction(scores).into(),
        Measured::Beside(comparison) => {
            let shared = match &text.alignment {
                Some(alignment) => format!(
                    "the {} tokens that both have, at {} positions",
                    alignment.shared_tokens(),
                    alignment.positions()
                ),
                None => format!("a vocabulary of {vocabulary}"),
            };
            let against = format!("{on_text}, {shared}, against {}", parent.unwrap_or_default());
            let divergence = &comparison.divergence;
            let mut figures = vec![
                (Metric::Divergence, figure(divergence.mean(), &against)),
                (Metric::Divergence99, figure(divergence.quantile(0.99), &against)),
                (Metric::SameTop, figure(divergence.same_top(), &against)),
            ];
            figures.extend(prediction(&comparison.child));
            figures
        }
    }
}
