//! The shapes that a search may choose from, each repaired when it is first looked at.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use secateur_compress::CompressError;
use secateur_compress::progress::{Progress, Silent};
use secateur_compress::shape::{choose_widths, drop_by_divergence, repair, repaired_path};
use secateur_compress::statistics::{Statistics, keep, read_kept};
use secateur_model::shape::{Repair, ShapePlan};
use secateur_model::{Checkpoint, ModelSpec};
use serde::{Deserialize, Serialize};

use crate::yardstick::Yardstick;

/// Widths of the feed-forward part, in twelfths of the model's.
const TWELFTHS: [usize; 4] = [11, 10, 9, 8];

/// Widths come in steps of this, so that types in small blocks stay legal.
const WIDTH_STEP: usize = 32;

/// How many layers may go, as a divisor of how many there are.
const LAYER_SHARES: [usize; 2] = [15, 8];

/// A shape that may be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// In words.
    pub name: String,
    /// What stays; nothing for the model as it is.
    pub plan: Option<ShapePlan>,
    /// The divergence from the whole model without repair, on one sequence, in nats per token.
    pub loss: f64,
}

/// Shapes of a model, what each loses without repair, and what both come from: kept with the statistics.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    /// The version of this record: 1.
    schema: u32,
    /// Of the statistics.
    calibration: String,
    plans: Vec<ShapePlan>,
    losses: Vec<f64>,
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
    /// The model as it is, with narrower feed-forward parts, with fewer layers, and both, as an earlier run has kept them, or chosen and held
    /// against the yardstick.
    pub fn new(
        whole: &'a Checkpoint,
        statistics: &'a Statistics,
        yardstick: &Yardstick,
        cache: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, CompressError> {
        let Tried { plans, losses, .. } = tried(whole, statistics, yardstick, progress)?;
        let mut all = vec![as_it_is()];
        for (plan, loss) in plans.into_iter().zip(losses) {
            let shape = |source| secateur_model::ModelError::Shape { path: whole.source.clone(), source };
            let spec = plan.apply(&whole.spec).map_err(shape)?;
            all.push(Shape { name: in_words(&whole.spec, &spec), plan: Some(plan), loss });
        }
        Ok(Self::of(whole, statistics, all, cache))
    }

    /// The model as it is, alone.
    pub fn of_whole(whole: &'a Checkpoint, statistics: &'a Statistics, cache: &Path) -> Self {
        Self::of(whole, statistics, vec![as_it_is()], cache)
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

fn as_it_is() -> Shape {
    Shape { name: "as it is".to_owned(), plan: None, loss: 0.0 }
}

fn tried(
    whole: &Checkpoint,
    statistics: &Statistics,
    yardstick: &Yardstick,
    progress: &dyn Progress,
) -> Result<Tried, CompressError> {
    let path = statistics.folder().join("shapes.json");
    let calibration = statistics.fingerprint();
    let kept: Option<Tried> = read_kept(&path);
    if let Some(tried) = kept.filter(|tried| tried.schema == 1 && tried.calibration == calibration) {
        return Ok(tried);
    }
    let mut plans = narrower(whole, statistics, progress)?;
    plans.extend(shorter(whole, statistics, plans.get(1), progress)?);
    progress.begin("trying shapes", plans.len() as u64);
    let mut losses = Vec::with_capacity(plans.len());
    for plan in &plans {
        progress.check()?;
        let bare = whole.clone().with_shape(plan, None)?;
        losses.push(yardstick.divergences(&bare, 0..1)?.iter().sum());
        progress.advance(1);
    }
    let tried = Tried { schema: 1, calibration, plans, losses };
    keep(&path, &tried)?;
    Ok(tried)
}

fn narrower(
    whole: &Checkpoint,
    statistics: &Statistics,
    progress: &dyn Progress,
) -> Result<Vec<ShapePlan>, CompressError> {
    let Some(width) =
        whole.spec.layers.iter().filter_map(|layer| layer.gated()).map(|gated| gated.width).min()
    else {
        return Ok(Vec::new());
    };
    let mut widths: Vec<usize> =
        TWELFTHS.iter().map(|twelfths| width * twelfths / 12 / WIDTH_STEP * WIDTH_STEP).collect();
    widths.retain(|&narrower| narrower > 0 && narrower < width);
    widths.dedup();
    choose_widths(whole, statistics, &widths, progress)
}

/// Fewer layers, of the model's width and of a narrower one.
fn shorter(
    whole: &Checkpoint,
    statistics: &Statistics,
    narrow: Option<&ShapePlan>,
    progress: &dyn Progress,
) -> Result<Vec<ShapePlan>, CompressError> {
    let layers = whole.spec.layers.len();
    let mut counts: Vec<usize> = LAYER_SHARES.iter().map(|share| layers / share).collect();
    counts.retain(|&gone| gone > 0 && layers - gone >= 2);
    counts.dedup();
    let Some(&most) = counts.iter().max() else { return Ok(Vec::new()) };
    let order = drop_by_divergence(whole, layers - most, statistics.sequences(), progress)?;
    let all = ShapePlan {
        of: layers,
        layers: (0..layers).map(secateur_model::shape::KeptLayer::whole).collect(),
        repair: Repair::Solve,
    };
    let mut plans = Vec::new();
    for wide in [Some(&all), narrow].into_iter().flatten() {
        for &gone in &counts {
            let mut plan = wide.clone();
            plan.layers.retain(|kept| !order[..gone].contains(&kept.layer));
            plans.push(plan);
        }
    }
    Ok(plans)
}

/// What is smaller, in words.
fn in_words(before: &ModelSpec, after: &ModelSpec) -> String {
    let width = |spec: &ModelSpec| spec.layers[0].gated().map_or(0, |gated| gated.width);
    let mut words = Vec::new();
    if after.layers.len() < before.layers.len() {
        words.push(format!("{} of {} layers", after.layers.len(), before.layers.len()));
    }
    if width(after) < width(before) {
        words.push(format!("{} of {} channels", width(after), width(before)));
    }
    words.join(", ")
}
