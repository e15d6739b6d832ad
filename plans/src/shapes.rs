//! The shapes that a search may choose from, each repaired when it is first looked at.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use secateur_compress::CompressError;
use secateur_compress::allocation::Knowledge;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::shape::{repair, repaired_path};
use secateur_compress::statistics::Statistics;
use secateur_model::shape::ShapePlan;
use secateur_model::{Checkpoint, ModelSpec};

use crate::offer::{LARGE_STEP, OfferedSizes};
use crate::tried_shapes::TriedShapes;
use crate::yardstick::Yardstick;

/// A shape that may be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// In words.
    pub name: String,
    /// What stays; nothing for the model as it is.
    pub plan: Option<ShapePlan>,
    /// The sizes it has, with all tokens.
    pub spec: ModelSpec,
    /// The divergence from the whole model without repair, on few tokens, in nats per token.
    pub loss: f64,
}

/// The shapes of one model.
pub(crate) struct Shapes<'a> {
    whole: &'a Checkpoint,
    statistics: &'a Statistics,
    pub all: Vec<Shape>,
    /// The folder where repaired tensors are kept.
    pub cache: PathBuf,
    ready: Vec<OnceLock<Checkpoint>>,
    repaired: Mutex<Vec<PathBuf>>,
}

impl<'a> Shapes<'a> {
    /// The model as it is, and in every smaller shape that is offered.
    pub fn new(
        whole: &'a Checkpoint,
        statistics: &'a Statistics,
        knowledge: &Knowledge,
        offered: OfferedSizes,
        yardstick: &Yardstick,
        cache: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, CompressError> {
        let TriedShapes { plans, losses, .. } =
            TriedShapes::new(whole, statistics, knowledge, offered, yardstick, progress)?;
        let mut all = vec![as_it_is(whole)];
        for (plan, loss) in plans.into_iter().zip(losses) {
            let shape = |source| secateur_model::ModelError::Shape { path: whole.source.clone(), source };
            let spec = plan.apply(&whole.spec).map_err(shape)?;
            all.push(Shape { name: in_words(&whole.spec, &spec), plan: Some(plan), spec, loss });
        }
        Ok(Self::of(whole, statistics, all, cache))
    }

    /// The model as it is, alone.
    pub fn of_whole(whole: &'a Checkpoint, statistics: &'a Statistics, cache: &Path) -> Self {
        Self::of(whole, statistics, vec![as_it_is(whole)], cache)
    }

    fn of(whole: &'a Checkpoint, statistics: &'a Statistics, all: Vec<Shape>, cache: &Path) -> Self {
        let ready = all.iter().map(|_| OnceLock::new()).collect();
        let (cache, repaired) = (cache.to_owned(), Mutex::new(Vec::new()));
        Self { whole, statistics, all, cache, ready, repaired }
    }

    /// The model in a shape, without repair.
    pub fn bare(&self, shape: usize) -> Result<Checkpoint, CompressError> {
        Ok(match &self.all[shape].plan {
            None => self.whole.clone(),
            Some(plan) => self.whole.clone().with_shape(plan, None)?,
        })
    }

    /// The model in a shape, repaired.
    pub fn model(&self, shape: usize) -> Result<&Checkpoint, CompressError> {
        if let Some(model) = self.ready[shape].get() {
            return Ok(model);
        }
        let model = match &self.all[shape].plan {
            None => self.whole.clone(),
            Some(plan) => self.repaired(plan, shape)?,
        };
        Ok(self.ready[shape].get_or_init(|| model))
    }

    fn repaired(&self, plan: &ShapePlan, shape: usize) -> Result<Checkpoint, CompressError> {
        let path = repaired_path(&self.cache, plan, self.statistics)?;
        if !path.is_file() {
            repair(self.whole, &self.bare(shape)?, plan, self.statistics, &path, &Silent)?;
        }
        if let Ok(mut repaired) = self.repaired.lock() {
            repaired.push(path.clone());
        }
        Ok(self.whole.clone().with_shape(plan, Some(&path))?)
    }

    /// The files of repaired tensors that were made or found.
    pub fn files(&self) -> Vec<PathBuf> {
        self.repaired.lock().map(|repaired| repaired.clone()).unwrap_or_default()
    }
}

fn as_it_is(whole: &Checkpoint) -> Shape {
    Shape { name: "as it is".to_owned(), plan: None, spec: whole.spec.clone(), loss: 0.0 }
}

/// What is smaller, in words.
fn in_words(before: &ModelSpec, after: &ModelSpec) -> String {
    let widths = |spec: &ModelSpec| -> Vec<usize> {
        spec.layers.iter().filter_map(|layer| layer.gated()).map(|gated| gated.width).collect()
    };
    let mean = |widths: &[usize]| widths.iter().sum::<usize>() as f64 / widths.len().max(1) as f64;
    let (wide, narrow) = (widths(before), widths(after));
    let heads = |spec: &ModelSpec| spec.layers[0].attention().map_or(0, |attention| attention.heads);
    let mut words = Vec::new();
    if after.layers.len() < before.layers.len() {
        words.push(format!("{} of {} layers", after.layers.len(), before.layers.len()));
    }
    if heads(after) < heads(before) {
        words.push(format!("{} of {} heads", heads(after), heads(before)));
    }
    if mean(&narrow) < mean(&wide) {
        let on_average = match narrow.iter().all(|width| *width == narrow[0]) {
            true => "",
            false if narrow.iter().all(|width| width % LARGE_STEP == 0) => " on average, in blocks of 256",
            false => " on average",
        };
        words.push(format!("{:.0} of {:.0} channels{on_average}", mean(&narrow), mean(&wide)));
    }
    words.join(", ")
}
