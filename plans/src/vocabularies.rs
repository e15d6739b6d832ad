//! The vocabularies that a search may choose from.

use secateur_compress::CompressError;
use secateur_compress::forward::{Forward, Hidden, NoTaps, Residency};
use secateur_compress::measure::total_loss;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::statistics::{Statistics, Text, keep, read_kept, sequences_fingerprint};
use secateur_compress::vocabulary::{
    NamedText, SmallerVocabulary, expected_use, respell, smaller_vocabularies,
};
use secateur_model::tokenizer::Tokenizer;
use secateur_model::{Checkpoint, ModelError};
use serde::{Deserialize, Serialize};

use crate::offer::Offer;

/// Sequences that vocabularies are tried on.
const TRIED_ON: usize = 8;

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
    /// The version of this record: 3.
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
    /// The whole one, and smaller ones of the tokens that the texts use and the model expects most, with what each loses on `sequences`, which are not
    /// counted. Without texts, and where tokens were left out before, there is the whole one alone.
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
        let smaller = smaller_vocabularies(
            tokenizer,
            &named,
            sequences,
            &expected(whole, statistics, progress)?,
            &offer.vocabularies(size),
            offer.vocabulary.is_some(),
            progress,
        )?;
        let losses = losses(whole, tokenizer, &smaller, sequences, statistics, progress)?;
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
    tokenizer: &Tokenizer,
    smaller: &[SmallerVocabulary],
    sequences: &[Vec<u32>],
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<f64>, CompressError> {
    let path = statistics.folder().join("vocabularies.json");
    let kept_tokens: Vec<Vec<u32>> = smaller.iter().map(|smaller| smaller.kept.clone()).collect();
    let of = [statistics.fingerprint(), sequences_fingerprint(&kept_tokens)];
    let kept: Option<Tried> = read_kept(&path);
    if let Some(tried) = kept.filter(|tried| tried.schema == 3 && tried.of == of) {
        return Ok(tried.losses);
    }
    progress.begin("trying vocabularies", smaller.len() as u64 + 1);
    let tried = &sequences[..TRIED_ON.min(sequences.len())];
    let tokens: usize = tried.iter().map(Vec::len).sum();
    let before = nats(whole, tried)?;
    progress.advance(1);
    let mut losses = Vec::with_capacity(smaller.len());
    for smaller in smaller {
        progress.check()?;
        let model = whole.clone().with_tokens(&smaller.kept, smaller.tokenizer.clone())?;
        let after = nats(&model, &spelled(tokenizer, smaller, tried)?)?;
        // that a text gets likelier because others cannot be said is no gain
        losses.push(((after - before) / tokens.max(1) as f64).max(0.0));
        progress.advance(1);
    }
    keep(&path, &Tried { schema: 3, of, losses: losses.clone() })?;
    Ok(losses)
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
