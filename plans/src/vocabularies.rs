//! The vocabularies that a search may choose from.

use secateur_compress::CompressError;
use secateur_compress::forward::{Forward, Hidden, NoTaps, Residency};
use secateur_compress::measure::total_loss;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::statistics::{Statistics, Text, keep, read_kept, sequences_fingerprint};
use secateur_compress::vocabulary::{CountedTexts, NamedText, SmallerVocabulary, expected_use, respell};
use secateur_model::tokenizer::Tokenizer;
use secateur_model::{Checkpoint, ModelError};
use serde::{Deserialize, Serialize};

use crate::offer::Offer;

/// Sequences that vocabularies are tried on.
const TRIED_ON: usize = 8;

/// What a lacking token costs with the next smaller vocabulary counts as much as so many lacking tokens of the tried text.
const LIKE_THE_NEXT: f64 = 16.0;

/// A vocabulary that may be chosen.
pub(crate) struct Vocabulary {
    /// What stays; nothing for the vocabulary as it is.
    pub smaller: Option<SmallerVocabulary>,
    /// Tokens.
    pub size: usize,
    /// What a text costs more to predict, in nats per token of the whole vocabulary.
    pub loss: f64,
}

/// What each vocabulary loses, kept with the statistics.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    /// The version of this record: 4.
    schema: u32,
    /// Of the statistics, and of the tokens that each vocabulary keeps.
    of: [String; 2],
    losses: Vec<f64>,
}

/// How often the model expects each token, kept with the statistics.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The version of this record: 1.
    schema: u32,
    /// Of the statistics.
    of: String,
    pub shares: Vec<f32>,
}

/// The vocabularies of one model, the first of which is its own.
pub(crate) struct Vocabularies {
    pub all: Vec<Vocabulary>,
    whole: Option<Tokenizer>,
}

impl Vocabularies {
    /// The whole one, and smaller ones of the tokens that the texts use and the model expects most, with what each is expected to lose on other texts.
    /// What a lacking token costs is seen on `sequences`, which are not counted. Without texts, and where tokens were left out before, there is the whole one alone.
    pub fn new(
        whole: &Checkpoint,
        texts: &[Text],
        offer: &Offer,
        sequences: &[Vec<u32>],
        statistics: &Statistics,
        progress: &dyn Progress,
    ) -> Result<Self, CompressError> {
        let size = whole.spec.vocabulary_size;
        let mut all = vec![Vocabulary { smaller: None, size, loss: 0.0 }];
        let tokenizer = whole.tokenizer.as_ref().filter(|_| !texts.is_empty());
        let Some(tokenizer) = tokenizer.filter(|_| whole.changed_tokens().is_none()) else {
            return Ok(Self { all, whole: None });
        };
        let named: Vec<NamedText> =
            texts.iter().map(|text| NamedText { name: &text.name, text: &text.content }).collect();
        let expected = expected(whole, statistics, progress)?;
        let counted = CountedTexts::new(tokenizer, &named, &expected, progress)?;
        let smaller =
            counted.vocabularies(sequences, &offer.vocabularies(size), offer.vocabulary.is_some())?;
        let losses = losses(whole, &counted, &smaller, sequences, statistics, progress)?;
        for (smaller, loss) in smaller.into_iter().zip(losses) {
            all.push(Vocabulary { size: smaller.kept.len(), smaller: Some(smaller), loss });
        }
        Ok(Self { all, whole: Some(tokenizer.clone()) })
    }

    /// The tokens that each smaller vocabulary keeps.
    pub fn kept(&self) -> Vec<Vec<u32>> {
        let smaller = self.all.iter().filter_map(|vocabulary| vocabulary.smaller.as_ref());
        smaller.map(|smaller| smaller.kept.clone()).collect()
    }

    /// A model with the tokens of a vocabulary.
    pub fn applied(&self, model: Checkpoint, vocabulary: usize) -> Result<Checkpoint, ModelError> {
        match &self.all[vocabulary].smaller {
            Some(smaller) => model.with_tokens(&smaller.kept, smaller.tokenizer.clone()),
            None => Ok(model),
        }
    }

    /// The text of sequences in the tokens of a vocabulary.
    pub fn spelled(&self, vocabulary: usize, sequences: &[Vec<u32>]) -> Result<Vec<Vec<u32>>, CompressError> {
        match (&self.whole, &self.all[vocabulary].smaller) {
            (Some(whole), Some(smaller)) => spelled(whole, smaller, sequences),
            _ => Ok(sequences.to_vec()),
        }
    }
}

fn spelled(
    whole: &Tokenizer,
    smaller: &SmallerVocabulary,
    sequences: &[Vec<u32>],
) -> Result<Vec<Vec<u32>>, CompressError> {
    Ok(respell(whole, &smaller.tokenizer, sequences)
        .map_err(secateur_compress::vocabulary::VocabularyError::from)?)
}

/// What the model expects on the sequences that do not judge.
fn expected(
    whole: &Checkpoint,
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<f32>, CompressError> {
    let path = statistics.folder().join("expected_tokens.json");
    let of = statistics.fingerprint();
    let kept: Option<Expected> = read_kept(&path);
    if let Some(kept) = kept.filter(|kept| kept.schema == 1 && kept.of == of) {
        return Ok(kept.shares);
    }
    let shares = expected_use(whole, &statistics.solving().collect::<Vec<_>>(), progress)?;
    let expected = Expected { schema: 1, of, shares };
    keep(&path, &expected)?;
    Ok(expected.shares)
}

fn losses(
    whole: &Checkpoint,
    counted: &CountedTexts<'_>,
    smaller: &[SmallerVocabulary],
    sequences: &[Vec<u32>],
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<f64>, CompressError> {
    let path = statistics.folder().join("vocabularies.json");
    let kept_tokens: Vec<Vec<u32>> = smaller.iter().map(|smaller| smaller.kept.clone()).collect();
    let of = [statistics.fingerprint(), sequences_fingerprint(&kept_tokens)];
    let kept: Option<Tried> = read_kept(&path);
    if let Some(tried) = kept.filter(|tried| tried.schema == 4 && tried.of == of) {
        return Ok(tried.losses);
    }
    progress.begin("trying vocabularies", smaller.len() as u64 + 1);
    let tried = &sequences[..TRIED_ON.min(sequences.len())];
    let tokens: usize = tried.iter().map(Vec::len).sum();
    let before = nats(whole, tried)?;
    progress.advance(1);
    let mut costs = Vec::with_capacity(smaller.len());
    for smaller in smaller {
        progress.check()?;
        let model = whole.clone().with_tokens(&smaller.kept, smaller.tokenizer.clone())?;
        let after = nats(&model, &spelled(counted.parent(), smaller, tried)?)?;
        let lacking = tried.iter().flatten().filter(|id| smaller.kept.binary_search(id).is_err()).count();
        // that a text gets likelier because others cannot be said is no gain
        costs.push(Cost {
            nats: (after - before).max(0.0),
            lacking,
            tokens,
            lacks: counted.lacking(smaller.kept.len()),
        });
        progress.advance(1);
    }
    let losses = expected_losses(&costs);
    keep(&path, &Tried { schema: 4, of, losses: losses.clone() })?;
    Ok(losses)
}

/// What one vocabulary costs on the tried text, and what is known of others.
struct Cost {
    /// More than the whole vocabulary takes for all of the tried text.
    nats: f64,
    /// Tokens of the tried text that the vocabulary lacks, of so many.
    lacking: usize,
    tokens: usize,
    /// The share of tokens in other texts that it is expected to lack.
    lacks: Option<f64>,
}

/// What each vocabulary, the largest first, loses in nats per token of other texts: what a lacking token costs, from the tried text, times how many
/// tokens others lack, for which all texts are counted. The tried text alone is too short to tell: it has few of the tokens that matter.
fn expected_losses(costs: &[Cost]) -> Vec<f64> {
    let mut of_next: Option<f64> = None;
    let mut losses: Vec<f64> = Vec::with_capacity(costs.len());
    for cost in costs.iter().rev() {
        let weight = of_next.map_or(0.0, |_| LIKE_THE_NEXT);
        let each = (cost.nats + weight * of_next.unwrap_or_default()) / (cost.lacking as f64 + weight);
        let each = Some(each).filter(|each| each.is_finite());
        losses.push(match (each, cost.lacks) {
            (Some(each), Some(lacks)) => each * lacks,
            _ => cost.nats / cost.tokens.max(1) as f64,
        });
        of_next = each.or(of_next);
    }
    losses.reverse();
    losses
}

/// What it takes to predict sequences, each from its first token on, in nats.
fn nats(model: &Checkpoint, sequences: &[Vec<u32>]) -> Result<f64, CompressError> {
    let forward = Forward::new(model, Residency::Stream)?;
    let mut hidden: Vec<Hidden> =
        sequences.iter().map(|sequence| forward.embed(sequence)).collect::<Result<_, _>>()?;
    forward.run_layers(&mut hidden, &mut NoTaps, &Silent)?;
    let mut nats = 0.0;
    for (hidden, sequence) in hidden.iter().zip(sequences).filter(|(_, sequence)| sequence.len() > 1) {
        let logits = forward.logits(hidden, 0..sequence.len() - 1)?;
        nats += total_loss(&logits, &sequence[1..], model.spec.vocabulary_size);
    }
    Ok(nats)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(nats: f64, lacking: usize, lacks: Option<f64>) -> Cost {
        Cost { nats, lacking, tokens: 1000, lacks }
    }

    #[test]
    fn losses_are_costs_of_lacking_tokens_times_how_many_others_lack() {
        // the larger one lacks nothing of the tried text, so its tokens cost what those of the smaller one do
        let losses = expected_losses(&[cost(0.0, 0, Some(0.01)), cost(800.0, 100, Some(0.05))]);
        assert_eq!(losses, [8.0 * 0.01, 8.0 * 0.05]);
        // between its own 2 in 16 and 8 of the next
        let losses = expected_losses(&[cost(32.0, 16, Some(0.01)), cost(800.0, 100, Some(0.05))]);
        assert!((losses[0] - 5.0 * 0.01).abs() < 1e-12, "{losses:?}");
    }

    #[test]
    fn without_texts_of_several_parts_losses_are_those_of_the_tried_text() {
        assert_eq!(expected_losses(&[cost(30.0, 5, None), cost(400.0, 50, None)]), [0.03, 0.4]);
        assert_eq!(expected_losses(&[cost(0.0, 0, Some(0.01))]), [0.0]);
    }
}
