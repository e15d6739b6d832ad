//! All plans of a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secateur_compress::allocation::{Choice, Knowledge, MatrixOptions, cheapest};
use secateur_compress::progress::Progress;
use secateur_compress::statistics::Statistics;
use secateur_compress::{CompressError, Intent, plan_choices};
use secateur_model::plan::Plan;
use secateur_model::{Checkpoint, HeldTensor, TensorId};
use secateur_search::{Budgets, Costs, Genome, SearchError, Space, Surrogate as _};

use crate::costs::{Device, Limits};
use crate::describe::{Description, types_in_words};
use crate::error::PlansError;
use crate::predict::Predictor;
use crate::rounded::RoundedMatrices;
use crate::shapes::Shapes;
use crate::space::{Choices, SHAPE};
use crate::yardstick::Yardstick;

/// What repair leaves of what a shape loses, until that is measured: about half (docs/shapes.md).
const LEFT_BY_REPAIR: f64 = 0.5;

/// Sequences that plans are measured on.
const SEQUENCES: usize = 16;

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
}

/// The plans of a model: any of its shapes, with any legal type for each matrix.
pub struct Plans<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) shapes: Shapes<'a>,
    pub(crate) choices: Choices,
    pub(crate) devices: Vec<Device>,
    pub(crate) yardstick: Yardstick<'a>,
    predictor: Predictor,
    /// Bytes of a file of each shape that belong to no matrix.
    rests: Vec<u64>,
    rounded: RoundedMatrices<'a>,
}

impl<'a> Plans<'a> {
    /// Chooses shapes and finds what can be known of all plans without rounding anything. Repaired shapes are kept in the folder `cache`.
    ///
    /// # Errors
    /// If weights or statistics cannot be read, there are too many devices, or the user interrupts.
    pub fn new(
        subject: Subject<'a>,
        devices: &[Device],
        cache: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, PlansError> {
        let most = (Costs::MOST - 1) / 2;
        if devices.len() > most {
            return Err(PlansError::TooManyDevices { found: devices.len(), most });
        }
        let yardstick = Yardstick::new(subject.whole, subject.statistics.spread(SEQUENCES))?;
        let shapes = Shapes::new(subject.whole, subject.statistics, &yardstick, cache, progress)?;
        let choices = Choices::new(&shapes.all, sorted(&subject.knowledge.options))?;
        let damages: Vec<f64> = shapes.all.iter().map(|shape| LEFT_BY_REPAIR * shape.loss).collect();
        let rests = (0..shapes.all.len())
            .map(|shape| {
                let matrices = choices.of_shape_alone(&shapes.all, shape);
                rest(&shapes.bare(shape)?, &matrices, subject.intent)
            })
            .collect::<Result<Vec<u64>, CompressError>>()?;
        let predictor = Predictor::new(&choices, &shapes.all, &damages, &rests, devices);
        let rounded = RoundedMatrices::new(subject);
        let devices = devices.to_vec();
        Ok(Self { subject, shapes, choices, devices, yardstick, predictor, rests, rounded })
    }

    /// What can be chosen: the shape, then the type of every matrix.
    pub fn space(&self) -> &Space {
        &self.choices.space
    }

    /// What plans are predicted to lose and to cost.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The sequences that a search measures plans on, with what the model makes of them.
    pub fn yardstick(&self) -> &Yardstick<'a> {
        &self.yardstick
    }

    /// Limits as budgets of the predictor's quantities.
    ///
    /// # Errors
    /// A limit that is no positive number.
    pub fn budgets(&self, limits: &Limits) -> Result<Budgets, SearchError> {
        let mut allowed = vec![limits.size.map(|bytes| bytes as f64)];
        allowed.extend(self.devices.iter().flat_map(|device| device.limits(limits)));
        Budgets::new(self.predictor.quantities(), &allowed)
    }

    /// The plan that keeps the shape and has at most so many bytes and the least predicted loss; nothing if there is none.
    pub fn by_types_alone(&self, bytes: u64) -> Option<Genome> {
        let chosen = cheapest(&self.choices.matrices, bytes.saturating_sub(self.rests[0])).ok()?;
        let levels = std::iter::once(0).chain(chosen.into_iter().map(|level| level as u16));
        self.choices.space.genome(levels.collect()).ok()
    }

    /// The model in a plan's shape, repaired, its matrices as they were.
    ///
    /// # Errors
    /// If it is repaired for the first time: what reading and writing can meet.
    pub fn model(&self, genome: &Genome) -> Result<&Checkpoint, CompressError> {
        self.shapes.model(genome.level(SHAPE))
    }

    /// The same with its matrices rounded with error feedback to the plan's types.
    ///
    /// # Errors
    /// As [`model`](Self::model), or if a matrix cannot be rounded.
    pub fn rounded_model(&self, genome: &Genome) -> Result<Checkpoint, CompressError> {
        let number = genome.level(SHAPE);
        let (shape, model) = (&self.shapes.all[number], self.model(genome)?);
        let held = self
            .choices_of(genome)
            .into_iter()
            .map(|(id, Choice { tensor_type, .. })| {
                let bytes = self.rounded.get(model, shape, (number, id, tensor_type))?;
                Ok(HeldTensor { id, tensor_type, bytes })
            })
            .collect::<Result<Vec<_>, CompressError>>()?;
        Ok(model.clone().with_held(held)?)
    }

    /// True if a plan has another shape than the model.
    pub fn is_cut(&self, genome: &Genome) -> bool {
        self.shapes.all[genome.level(SHAPE)].plan.is_some()
    }

    /// A plan as it can be carried out on its [`model`](Self::model).
    ///
    /// # Errors
    /// As [`model`](Self::model), or if it cannot be laid out as GGUF.
    pub fn plan(&self, genome: &Genome) -> Result<Plan, CompressError> {
        plan_choices(self.model(genome)?, &self.choices_of(genome), self.subject.intent)
    }

    /// A plan in words.
    pub fn describe(&self, genome: &Genome) -> Description {
        Description {
            shape: self.shapes.all[genome.level(SHAPE)].name.clone(),
            types: types_in_words(self.choices_of(genome).values()),
        }
    }

    /// Files of repaired tensors in the cache that were made or found so far.
    pub fn repaired(&self) -> Vec<PathBuf> {
        self.shapes.files()
    }

    fn choices_of(&self, genome: &Genome) -> BTreeMap<TensorId, Choice> {
        self.choices.of_plan(&self.shapes.all, genome)
    }
}

/// Options from the smallest to the largest, so that neighbouring levels are neighbouring sizes.
fn sorted(options: &[MatrixOptions]) -> Vec<MatrixOptions> {
    let mut options = options.to_vec();
    for matrix in &mut options {
        matrix.choices.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(b.damage.total_cmp(&a.damage)));
    }
    options
}

/// Bytes of a file that belong to no matrix.
fn rest(
    model: &Checkpoint,
    matrices: &BTreeMap<TensorId, Choice>,
    intent: &Intent,
) -> Result<u64, CompressError> {
    let bytes: u64 = matrices.values().map(|choice| choice.bytes).sum();
    Ok(plan_choices(model, matrices, intent)?.gguf_bytes.saturating_sub(bytes))
}
