//! All plans of a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secateur_compress::allocation::{Choice, Knowledge, MatrixOptions, cheapest, left_by_solving};
use secateur_compress::progress::Progress;
use secateur_compress::shape::ChannelOrders;
use secateur_compress::statistics::{Statistics, Text};
use secateur_compress::{CompressError, Intent, plan_choices};
use secateur_model::plan::Plan;
use secateur_model::{Checkpoint, HeldTensor, ModelSpec, TensorId};
use secateur_search::{Budgets, Costs, Genome, SearchError, Space, Surrogate as _};

use crate::bodies::{Bodies, Body};
use crate::caches::{Cache, caches};
use crate::costs::{Device, Limits};
use crate::describe::{Description, types_in_words};
use crate::error::PlansError;
use crate::offer::Offer;
use crate::passages::passages;
use crate::predict::Predictor;
use crate::rounded::RoundedMatrices;
use crate::shapes::Shapes;
use crate::space::{CACHE, Choices, MATRICES, SHAPE, VOCABULARY};
use crate::vocabularies::Vocabularies;
use crate::yardstick::{Room, Scored, Yardstick};

/// Sequences that shapes are tried on before one is repaired.
const TRIED_ON: usize = 2;

/// What is to be cut, and what is known of it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The model.
    pub whole: &'a Checkpoint,
    /// What its layers read.
    pub statistics: &'a Statistics,
    /// What its matrices would lose in each type.
    pub knowledge: &'a Knowledge,
    /// What the plan will say that was asked for.
    pub intent: &'a Intent,
    /// What may be cut beside the types of matrices.
    pub stages: Stages<'a>,
}

/// What a search may cut, beside the types of matrices.
#[derive(Debug, Clone, Copy)]
pub struct Stages<'a> {
    /// Layers and channels, chosen with so much care; nothing for the shape as it is.
    pub shape: Option<Care>,
    /// Tokens that these texts do not need; without texts, all stay.
    pub vocabulary: &'a [Text],
    /// Into what.
    pub offer: &'a Offer,
}

impl Stages<'_> {
    /// What part of each layer's channels has to be in order: what [`Knowledge::of`] is to be asked for.
    ///
    /// # Errors
    /// If the model cannot have a shape that is offered.
    pub fn channels(&self, spec: &ModelSpec) -> Result<f64, CompressError> {
        let Some(care) = self.shape else { return Ok(0.0) };
        let sizes = self.offer.sizes(spec, care)?;
        let widths = spec.layers.iter().filter_map(|layer| layer.gated()).map(|gated| gated.width);
        Ok(ChannelOrders::share_of(widths.max().unwrap_or_default(), &sizes.widths, &sizes.means))
    }
}

/// How much time shapes are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Layers go by how little they turn hidden states, which calibration has told already.
    Quick,
    /// Layers go by what the predictions lose without them, and may have widths of their own where a runtime loads that.
    Usual,
}

/// Whose damages types are weighed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damages {
    /// Of a model as a search measures it, each matrix rounded by itself.
    Measured,
    /// Of a model as it will be written.
    Written,
}

/// The plans of a model: any of its shapes, any of its vocabularies, any way to keep keys and values, with any legal type for each matrix.
pub struct Plans<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) shapes: Shapes<'a>,
    pub(crate) vocabularies: Vocabularies,
    pub(crate) caches: Vec<Cache>,
    pub(crate) bodies: Bodies,
    pub(crate) choices: Choices,
    pub(crate) devices: Vec<Device>,
    sequences: Vec<Vec<u32>>,
    predictor: Predictor,
    rounded: RoundedMatrices<'a>,
}

impl<'a> Plans<'a> {
    /// Chooses shapes and vocabularies and finds what can be known of all plans without rounding anything. Repaired shapes are kept in the folder `cache`.
    ///
    /// # Errors
    /// If weights or statistics cannot be read, there are too many devices, or the user interrupts.
    pub fn new(
        subject: Subject<'a>,
        devices: &[Device],
        cache: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, PlansError> {
        let most = (Costs::MOST - 1) / Device::COSTS;
        if devices.len() > most {
            return Err(PlansError::TooManyDevices { found: devices.len(), most });
        }
        let Subject { whole, statistics, stages, .. } = subject;
        let sequences = passages(statistics);
        let shapes = if let Some(care) = stages.shape {
            let first = sequences[..TRIED_ON.min(sequences.len())].to_vec();
            // few sequences, held against several shapes
            let yardstick =
                Yardstick::new(whole.clone(), first, Scored::ThreeQuarters, Room::new(usize::MAX));
            Shapes::new(
                whole,
                statistics,
                subject.knowledge,
                stages.offer.sizes(&whole.spec, care)?,
                &yardstick,
                cache,
                progress,
            )?
        } else {
            Shapes::of_whole(whole, statistics, cache)
        };
        let vocabularies =
            Vocabularies::new(whole, stages.vocabulary, stages.offer, &sequences, statistics, progress)?;
        // nothing but a device tells what a cache costs
        let offered = if devices.is_empty() { Vec::new() } else { stages.offer.caches(&whole.spec)? };
        let caches = caches(whole, offered, &sequences, statistics, progress)?;
        let matrices = sorted(stages.offer.options(whole, &subject.knowledge.options)?);
        let choices = Choices::new(&shapes.all, vocabularies.all.len(), caches.len(), matrices)?;
        let bodies = Bodies::new(&shapes, &vocabularies, &choices, subject.intent)?;
        let predictor = Predictor::new(&choices, &bodies, &caches, devices);
        let rounded = RoundedMatrices::new(subject);
        let devices = devices.to_vec();
        Ok(Self {
            subject,
            shapes,
            vocabularies,
            caches,
            bodies,
            choices,
            devices,
            sequences,
            predictor,
            rounded,
        })
    }

    /// What is to be cut, and what is known of it.
    pub fn subject(&self) -> Subject<'a> {
        self.subject
    }

    /// What can be chosen: the shape, the vocabulary, how keys and values are kept, then the type of every matrix.
    pub fn space(&self) -> &Space {
        &self.choices.space
    }

    /// What plans are predicted to lose and to cost.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The sequences that a search measures plans on, in tokens of the whole model.
    pub fn sequences(&self) -> &[Vec<u32>] {
        &self.sequences
    }

    /// Limits as budgets of the predictor's quantities.
    ///
    /// # Errors
    /// A limit that is no positive number.
    pub fn budgets(&self, limits: &Limits) -> Result<Budgets, SearchError> {
        self.budgets_on(limits, |_| true)
    }

    /// The same, with those devices left alone whose numbers are not asked for.
    pub(crate) fn budgets_on(
        &self,
        limits: &Limits,
        asked: impl Fn(usize) -> bool,
    ) -> Result<Budgets, SearchError> {
        let mut allowed = vec![limits.size.map(|bytes| bytes as f64)];
        for (number, device) in self.devices.iter().enumerate() {
            let limits = device.limits(limits);
            allowed.extend(if asked(number) { limits } else { [None; Device::COSTS] });
        }
        Budgets::new(self.predictor.quantities(), &allowed)
    }

    /// The plan that keeps shape and vocabulary and has at most so many bytes and the least predicted loss; nothing if there is none.
    pub fn by_types_alone(&self, bytes: u64) -> Option<Genome> {
        self.by_types_in(&self.bodies.all[0], bytes, Damages::Measured)
    }

    /// The same in each shape with the whole vocabulary, and in each vocabulary with the whole shape, where it is possible.
    pub(crate) fn by_types(&self, bytes: u64) -> Vec<Genome> {
        let uncut_in_one = self.bodies.all.iter().filter(|body| body.shape == 0 || body.vocabulary == 0);
        uncut_in_one.filter_map(|body| self.by_types_in(body, bytes, Damages::Measured)).collect()
    }

    /// The types with which a body has at most so many bytes and loses least, by damages of one kind; nothing if there are none.
    pub(crate) fn by_types_in(&self, body: &Body, bytes: u64, damages: Damages) -> Option<Genome> {
        let mut levels = vec![0; self.choices.space.len()];
        (levels[SHAPE], levels[VOCABULARY]) = (body.shape as u16, body.vocabulary as u16);
        let (mut there, mut options) = (Vec::new(), Vec::new());
        for (index, matrix) in self.choices.matrices.iter().enumerate() {
            let rounding = self.subject.intent.rounding;
            let choice = |level: usize| {
                let of_unit = self.choices.choices(body.shape, &body.spec, index, level).into_iter();
                let counted = of_unit.map(|(id, choice)| {
                    let left = match damages {
                        Damages::Measured => 1.0,
                        Damages::Written => {
                            left_by_solving(&body.spec, rounding, id.role, choice.tensor_type)
                        }
                    };
                    Choice { damage: left * choice.damage, ..choice }
                });
                counted.reduce(|a, b| Choice { bytes: a.bytes + b.bytes, damage: a.damage + b.damage, ..a })
            };
            let choices: Option<Vec<Choice>> = (0..matrix.choices.len()).map(choice).collect();
            if let Some(choices) = choices {
                there.push(index);
                options.push(MatrixOptions { id: matrix.id, choices });
            }
        }
        let chosen = cheapest(&options, bytes.saturating_sub(body.rest)).ok()?;
        for (index, level) in there.into_iter().zip(chosen) {
            levels[MATRICES + index] = level as u16;
        }
        self.choices.space.genome(levels).ok()
    }

    /// The model in a plan's shape, repaired, with the plan's vocabulary, its matrices as they were.
    ///
    /// # Errors
    /// If it is repaired for the first time: what reading and writing can meet.
    pub fn model(&self, genome: &Genome) -> Result<Checkpoint, CompressError> {
        let shaped = self.shapes.model(genome.level(SHAPE))?;
        Ok(self.vocabularies.applied(shaped.clone(), genome.level(VOCABULARY))?)
    }

    /// The model before it is cut, with a plan's vocabulary: what a plan's model is held against.
    pub(crate) fn parent(&self, genome: &Genome) -> Result<Checkpoint, CompressError> {
        Ok(self.vocabularies.applied(self.subject.whole.clone(), genome.level(VOCABULARY))?)
    }

    /// The same with its matrices rounded with error feedback to the plan's types.
    ///
    /// # Errors
    /// As [`model`](Self::model), or if a matrix cannot be rounded.
    pub fn rounded_model(&self, genome: &Genome) -> Result<Checkpoint, CompressError> {
        let number = genome.level(SHAPE);
        let (shape, shaped) = (&self.shapes.all[number], self.shapes.model(number)?);
        let smaller = self.vocabularies.all[genome.level(VOCABULARY)].smaller.as_ref();
        let held = self
            .choices_of(genome)
            .into_iter()
            .map(|(id, Choice { tensor_type, .. })| {
                // the vocabulary is the same in all shapes
                let key = if id.layer.is_some() { number } else { 0 };
                let bytes = self.rounded.get(shaped, shape, (key, id, tensor_type))?;
                let kept = smaller.filter(|_| id.layer.is_none());
                let bytes = match kept {
                    Some(smaller) => rows_of(&bytes, self.vocabularies.all[0].size, &smaller.kept),
                    None => bytes,
                };
                Ok(HeldTensor { id, tensor_type, bytes })
            })
            .collect::<Result<Vec<_>, CompressError>>()?;
        Ok(self.model(genome)?.with_held(held)?)
    }

    /// A plan as it can be carried out on its [`model`](Self::model).
    ///
    /// # Errors
    /// As [`model`](Self::model), or if it cannot be laid out as GGUF.
    pub fn plan(&self, genome: &Genome) -> Result<Plan, CompressError> {
        let plan = plan_choices(&self.model(genome)?, &self.choices_of(genome), self.subject.intent)?;
        Ok(Plan { cache: self.caches[genome.level(CACHE)].chosen, ..plan })
    }

    /// A plan in words.
    pub fn describe(&self, genome: &Genome) -> Description {
        let cache = self.caches[genome.level(CACHE)].chosen;
        let cache = cache.map_or_else(String::new, |cache| format!(", its keys and values in {cache}"));
        Description {
            body: self.bodies.of(genome).name.clone() + &cache,
            types: types_in_words(self.choices_of(genome).values()),
        }
    }

    /// Files of repaired tensors in the cache that were made or found so far.
    pub fn repaired(&self) -> Vec<PathBuf> {
        self.shapes.files()
    }

    fn choices_of(&self, genome: &Genome) -> BTreeMap<TensorId, Choice> {
        self.choices.of_plan(&self.bodies.of(genome).spec, genome)
    }
}

/// Options from the smallest to the largest, so that neighbouring levels are neighbouring sizes.
fn sorted(mut options: Vec<MatrixOptions>) -> Vec<MatrixOptions> {
    for matrix in &mut options {
        matrix.choices.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(b.damage.total_cmp(&a.damage)));
    }
    options
}

/// Some of the rows of a matrix of so many.
fn rows_of(bytes: &[u8], rows: usize, kept: &[u32]) -> Arc<[u8]> {
    let row_bytes = bytes.len() / rows;
    kept.iter().flat_map(|&row| &bytes[row as usize * row_bytes..][..row_bytes]).copied().collect()
}
