//! Plans and roundings that look at what passes the model.

use std::path::PathBuf;
use std::rc::Rc;

use secateur_compress::allocation::{Knowledge, allocate};
use secateur_compress::progress::Progress;
use secateur_compress::rounding::{
    Importance, RoundedStore, Settings, Types, round_sequentially, round_weighted,
};
use secateur_compress::statistics::{self, Imatrix, Place, Sequence, Statistics, StatisticsError};
use secateur_compress::{CompressError, Intent, plan};
use secateur_model::plan::{Plan, TensorPlan};
use secateur_model::shape::Repair;
use secateur_model::types::TypeRequest;
use secateur_model::{Checkpoint, Role, Rounding, TensorId};
use secateur_profiles::ByteSize;

use crate::arguments::{CompressArguments, USUAL_TOKENS};
use crate::cache;
use crate::searching::AskedOfPlan;

/// One sequence of so many is kept for measuring.
const HELD_OUT_STEP: usize = 8;

/// Full rounding fits what it has seen where it has seen less (docs/quantize.md).
const FEW_TOKENS: usize = 8_192;

/// Bits of a number below which it matters how it is rounded.
const FINE_BITS: f64 = 8.0;

/// No more sequences than these are kept for measuring.
const MOST_HELD_OUT: usize = 16;

/// Options that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum CalibratedError {
    #[error(
        "`--rounding rtn` looks at no text; name another rounding, or leave `--text` and `--imatrix` out"
    )]
    RtnReadsNothing,
    #[error(
        "an importance matrix is enough for `--rounding weighted` only, and not to choose types; name a type and that rounding"
    )]
    ImatrixAlone,
    #[error(
        "`--rounding rtn` looks at nothing, so types cannot be chosen by what they lose; leave it out, or name a `--type`"
    )]
    RtnChoosesNothing,
    #[error(
        "nothing is calibrated on, so no divergence is measured for `--max-kld`; give a budget (`--max-size`), or `--rounding full`"
    )]
    NothingMeasures,
}

/// What is known before anything is written.
pub struct Prepared {
    pub plan: Plan,
    /// Sequences to measure the artifact on.
    pub held_out: Vec<Sequence>,
    pub(super) knowledge: Option<Rc<Known>>,
    /// What was calibrated on in the tokens of the plan's vocabulary, if that is smaller.
    pub(super) respelled: Option<Vec<Vec<u32>>>,
    pub(super) importance: Option<Importance>,
}

/// Statistics, and what follows from them.
pub struct Known {
    pub statistics: Statistics,
    pub knowledge: Knowledge,
}

/// Calibrates where that is needed, and plans.
pub fn prepare(
    arguments: &CompressArguments,
    checkpoint: &Checkpoint,
    seed: u64,
    progress: &dyn Progress,
) -> anyhow::Result<Prepared> {
    let Some(base) = arguments.types() else {
        let rounding = arguments.rounding.unwrap_or(Rounding::Full);
        return within_budget(arguments, checkpoint, rounding, seed, progress);
    };
    let request = TypeRequest { base, overrides: arguments.overrides.clone() };
    let plan = plan(checkpoint, &request)?;
    let rounding = arguments.rounding.unwrap_or_else(|| usual_rounding(checkpoint, &plan));
    if rounding == Rounding::Rtn {
        let read_before = checkpoint.changed_tokens().is_some() || checkpoint.shape().is_some();
        if (!arguments.texts.is_empty() && !read_before) || arguments.imatrix.is_some() {
            return Err(CalibratedError::RtnReadsNothing.into());
        }
        return Ok(Prepared {
            plan,
            held_out: Vec::new(),
            knowledge: None,
            respelled: None,
            importance: None,
        });
    }
    if let Some(path) = &arguments.imatrix {
        if rounding != Rounding::Weighted {
            return Err(CalibratedError::ImatrixAlone.into());
        }
        let imatrix = Imatrix::read(path).map_err(CompressError::from)?;
        // its name, not its path: the same file elsewhere makes the same artifact
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let asked = [&plan.asked[..], &[format!("rounding={rounding}"), format!("imatrix={name}")]].concat();
        let intent = Intent { asked, rounding, calibration: Some(imatrix.fingerprint()) };
        let plan = intent.apply(checkpoint, plan)?;
        let importance = Some(importance_of(&imatrix, checkpoint));
        return Ok(Prepared { plan, held_out: Vec::new(), knowledge: None, respelled: None, importance });
    }
    let (known, held_out) = know(&Calibration::usual(arguments, seed), checkpoint, progress)?;
    let intent = intent(&arguments.texts, plan.asked.clone(), rounding, &known);
    let plan = intent.apply(checkpoint, plan)?;
    Ok(Prepared { plan, held_out, knowledge: Some(Rc::new(known)), respelled: None, importance: None })
}

/// How numbers are rounded where the types are named and nobody says how. What was solved anew in a smaller shape would lose to coarse types, each number
/// to its nearest level, what solving gained; text has been read for it anyway.
fn usual_rounding(checkpoint: &Checkpoint, plan: &Plan) -> Rounding {
    let is_solved = checkpoint.shape().is_some_and(|shape| shape.repair == Repair::Solve);
    let is_coarse = |tensor: &TensorPlan| tensor.to.bits_per_weight() < FINE_BITS;
    if is_solved && plan.tensors.iter().any(is_coarse) { Rounding::Full } else { Rounding::Rtn }
}

fn within_budget(
    arguments: &CompressArguments,
    checkpoint: &Checkpoint,
    rounding: Rounding,
    seed: u64,
    progress: &dyn Progress,
) -> anyhow::Result<Prepared> {
    if arguments.imatrix.is_some() {
        return Err(CalibratedError::ImatrixAlone.into());
    }
    if rounding == Rounding::Rtn {
        return Err(CalibratedError::RtnChoosesNothing.into());
    }
    let (budget, asked) = match (arguments.max_size, arguments.bits_per_weight) {
        (Some(ByteSize(bytes)), _) => (bytes, format!("max-size={bytes}")),
        (None, bits) => {
            let bits = bits.unwrap_or_default();
            let parameters = checkpoint.spec.parameter_count() as f64;
            ((bits * parameters / 8.0) as u64, format!("bits-per-weight={bits}"))
        }
    };
    let overrides = arguments.overrides.iter().map(|rule| format!("tensor-type:{rule}"));
    let asked = std::iter::once(asked).chain(overrides).collect();
    let (known, held_out) = know(&Calibration::usual(arguments, seed), checkpoint, progress)?;
    let intent = intent(&arguments.texts, asked, rounding, &known);
    let plan = allocate(checkpoint, &known.knowledge.options, &arguments.overrides, budget, &intent)?;
    Ok(Prepared { plan, held_out, knowledge: Some(Rc::new(known)), respelled: None, importance: None })
}

/// What a search is asked for, in words, and with what it decides.
pub fn search_intent(asked_of_plan: &AskedOfPlan, texts: &[PathBuf], known: &Known) -> Intent {
    let AskedOfPlan { profiles, max_size, max_memory, min_decode, min_prefill, max_energy, rounding, .. } =
        asked_of_plan;
    let mut asked: Vec<String> = profiles.iter().map(|profile| format!("profile={profile}")).collect();
    asked.extend(max_size.map(|ByteSize(bytes)| format!("max-size={bytes}")));
    asked.extend(max_memory.map(|ByteSize(bytes)| format!("max-memory={bytes}")));
    asked.extend(min_decode.map(|speed| format!("min-decode={speed}")));
    asked.extend(min_prefill.map(|speed| format!("min-prefill={speed}")));
    asked.extend(max_energy.map(|joules| format!("max-energy={joules}")));
    intent(texts, asked, *rounding, known)
}

fn intent(texts: &[PathBuf], mut asked: Vec<String>, rounding: Rounding, known: &Known) -> Intent {
    asked.push(format!("rounding={rounding}"));
    // names, not paths: the same files elsewhere make the same artifact
    let names = texts.iter().filter_map(|path| path.file_name());
    asked.extend(names.map(|name| format!("text={}", name.to_string_lossy())));
    Intent { asked, rounding, calibration: Some(known.statistics.fingerprint()) }
}

/// What a model is calibrated on, and what for.
pub struct Calibration<'a> {
    pub texts: &'a [PathBuf],
    /// At most.
    pub tokens: usize,
    /// Of the labels of the backward pass.
    pub seed: u64,
    /// The part of each layer's channels that has to be in order.
    pub channels: f64,
}

impl<'a> Calibration<'a> {
    /// For types alone.
    fn usual(arguments: &'a CompressArguments, seed: u64) -> Self {
        let tokens = arguments.tokens.unwrap_or(USUAL_TOKENS);
        Self { texts: &arguments.texts, tokens, seed, channels: 0.0 }
    }
}

/// Statistics and what follows from them, found or made; and the sequences that they have not seen.
pub fn know(
    calibration: &Calibration,
    checkpoint: &Checkpoint,
    progress: &dyn Progress,
) -> anyhow::Result<(Known, Vec<Sequence>)> {
    let Calibration { texts, tokens, seed, channels } = *calibration;
    let sequences = sequences(texts, tokens, checkpoint).map_err(CompressError::from)?;
    let (seen, held_out) = split(sequences);
    let place = Place::Cache(cache::folder()?);
    let calibration =
        statistics::calibrate(checkpoint, &seen, &place, progress).map_err(CompressError::from)?;
    let knowledge = Knowledge::of(checkpoint, &calibration.statistics, seed, channels, progress)?;
    Ok((Known { statistics: calibration.statistics, knowledge }, held_out))
}

/// Sequences of tokens of the texts.
pub(super) fn sequences(
    texts: &[PathBuf],
    tokens: usize,
    checkpoint: &Checkpoint,
) -> Result<Vec<Sequence>, StatisticsError> {
    let no_tokenizer = || StatisticsError::NoTokenizer { path: checkpoint.source.clone() };
    let tokenizer = checkpoint.tokenizer.as_ref().ok_or_else(no_tokenizer)?;
    let texts = statistics::texts_or_built_in(texts)?;
    statistics::calibration_tokens(tokenizer, &checkpoint.spec, &texts, Some(tokens))
}

/// Sequences to calibrate on, and sequences to measure on: spread over the text.
pub(super) fn split(sequences: Vec<Sequence>) -> (Vec<Vec<u32>>, Vec<Sequence>) {
    let (mut seen, mut held_out) = (Vec::new(), Vec::new());
    for (index, sequence) in sequences.into_iter().enumerate() {
        if index % HELD_OUT_STEP == HELD_OUT_STEP - 1 && held_out.len() < MOST_HELD_OUT {
            held_out.push(sequence);
        } else {
            seen.push(sequence.tokens);
        }
    }
    (seen, held_out)
}

fn importance_of(imatrix: &Imatrix, checkpoint: &Checkpoint) -> Importance {
    let table = checkpoint.spec.family.table();
    let of = |id: TensorId| {
        let entry = imatrix.entries.get(&table.gguf_name(id)?)?;
        Some((id, entry.mean_squares.clone()))
    };
    checkpoint.spec.tensor_ids().into_iter().filter(|id| id.role.is_matrix()).filter_map(of).collect()
}

impl Prepared {
    /// Rounds all matrices as planned; `None` if each number just goes to the nearest.
    pub fn round(
        &self,
        checkpoint: &Checkpoint,
        progress: &dyn Progress,
    ) -> anyhow::Result<Option<RoundedStore>> {
        if self.plan.rounding == Rounding::Rtn {
            return Ok(None);
        }
        let types = self.types();
        let store = RoundedStore::begin(&cache()?, &self.subject(&types))?;
        match (Settings::of(self.plan.rounding), &self.knowledge, &self.importance) {
            (Some(settings), Some(known), _) => {
                let second = |role: Role| known.knowledge.vocabulary_second(role);
                let texts = self.respelled.as_deref().unwrap_or_else(|| known.statistics.sequences());
                round_sequentially(checkpoint, &types, texts, settings, &second, &store, progress)?;
            }
            (_, Some(known), _) => {
                let importance = diagonals(known, &types)?;
                round_weighted(checkpoint, &types, &importance, &store, progress)?;
            }
            (_, None, Some(importance)) => round_weighted(checkpoint, &types, importance, &store, progress)?,
            (_, None, None) => return Ok(None),
        }
        Ok(Some(store))
    }

    /// What to tell where full rounding is calibrated on too little.
    pub fn warning(&self) -> Option<String> {
        let tokens = self.knowledge.as_ref()?.statistics.tokens();
        // an eighth of the text is kept for measuring
        let is_few = tokens < FEW_TOKENS - FEW_TOKENS / HELD_OUT_STEP;
        (is_few && self.plan.rounding == Rounding::Full).then(|| {
            format!(
                "full rounding is calibrated on {tokens} tokens only, and fits what it has seen: on {USUAL_TOKENS}, models lose a third less than on 4096; \
                 give it more text"
            )
        })
    }

    /// The type of every matrix.
    pub fn types(&self) -> Types {
        let matrices = self.plan.tensors.iter().filter(|tensor| tensor.id.role.is_matrix());
        matrices.map(|tensor| (tensor.id, tensor.to)).collect()
    }

    /// All that the bytes of rounded matrices depend on.
    fn subject(&self, types: &Types) -> String {
        let calibration = self.plan.calibration.as_deref().unwrap_or_default();
        let asked = self.plan.asked.join(" ");
        let (source, rounding, vocabulary) = (&self.plan.source, self.plan.rounding, &self.plan.vocabulary);
        format!("{source} {rounding} {calibration} {asked} {types:?} {vocabulary:?}")
    }
}

fn cache() -> anyhow::Result<PathBuf> {
    Ok(cache::folder()?)
}

/// `E[x²]` of what each matrix reads.
fn diagonals(known: &Known, types: &Types) -> anyhow::Result<Importance> {
    let mut importance = Importance::new();
    for &id in types.keys() {
        let diagonal = if id.layer.is_none() {
            known.knowledge.vocabulary_diagonal(id.role)
        } else {
            let moments = known.statistics.input_of(id).map_err(CompressError::from)?;
            moments.map(|moments| moments.diagonal()).unwrap_or_default()
        };
        if !diagonal.is_empty() {
            importance.insert(id, diagonal);
        }
    }
    Ok(importance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_sequence_is_held_out() {
        let sequence = |number| Sequence { tokens: vec![number], text: "text".to_owned() };
        let (seen, held_out) = split((0..20).map(sequence).collect());
        assert_eq!(held_out, [sequence(7), sequence(15)]);
        assert_eq!(seen.len(), 18);
        let (seen, held_out) = split((0..400).map(sequence).collect());
        assert_eq!((seen.len(), held_out.len()), (384, 16));
    }
}
