//! Takes two copies of a text through the model, as the parent and as the smaller model see it, and solves each output projection of the
//! smaller one for what the parent's hidden states are.

use std::path::Path;

use secateur_model::shape::{Repair, ShapePlan};
use secateur_model::{Checkpoint, ModelSpec, Role, TensorId};

use super::bias::write_biases;
use super::repaired_file::RepairedFile;
use crate::CompressError;
use crate::forward::{Forward, ForwardError, Hidden, Residency, Site, StagedLayer, StagedModel};
use crate::progress::Progress;
use crate::solve::{HELD_OUT_STEP, Sums, Wanted, solve};
use crate::statistics::Statistics;

/// The output projections that are solved anew: all from the first on whose input or whose layer's input differs from the parent's.
fn repaired_tensors(spec: &ModelSpec, shape: &ShapePlan) -> Vec<TensorId> {
    let mut tensors = Vec::new();
    let mut differs = false;
    for (new, kept) in shape.layers.iter().enumerate() {
        differs |= kept.layer != new;
        for (role, is_cut) in
            [(Role::AttentionOutput, kept.kv_heads.is_some()), (Role::FfnDown, kept.ffn.is_some())]
        {
            differs |= is_cut;
            if differs && spec.shape(TensorId::in_layer(kept.layer, role)).is_some() {
                tensors.push(TensorId::in_layer(new, role));
            }
        }
    }
    tensors
}

/// Writes the tensors that take over from what goes to `path`, as [`Checkpoint::with_shape`] reads them: the output projections solved anew,
/// or biases beside them. `smaller` is the model in its shape as it is without repair; `statistics` are the parent's, over texts of at most 512
/// tokens each.
///
/// Memory holds the hidden states of all texts as both models have them, what one projection reads of them, and its sums.
///
/// # Errors
/// If something cannot be read, numbers are no longer finite, the disk refuses, or the user interrupts: there is no file then.
pub fn repair(
    parent: &Checkpoint,
    smaller: &Checkpoint,
    shape: &ShapePlan,
    statistics: &Statistics,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    match shape.repair {
        Repair::None => RepairedFile::create(path, &[])?.finish(),
        Repair::Bias => write_biases(parent, smaller, shape, statistics, path),
        Repair::Solve => {
            let with_shape = |id: TensorId| Some((id, smaller.spec.shape(id)?));
            let wanted: Vec<_> =
                repaired_tensors(&parent.spec, shape).into_iter().filter_map(with_shape).collect();
            let file = RepairedFile::create(path, &wanted)?;
            let wanted = wanted.into_iter().map(|(id, _)| id).collect();
            Sequence { parent, smaller, shape, wanted, file }.run(statistics.sequences(), progress)
        }
    }
}

/// A part of a layer: what its last projection gives is added to the hidden states.
#[derive(Debug, Clone, Copy)]
struct Part {
    first: Site,
    last: Site,
    role: Role,
}

const PARTS: [Part; 2] = [
    Part { first: Site::AttentionInput, last: Site::AttentionOutput, role: Role::AttentionOutput },
    Part { first: Site::FfnInput, last: Site::FfnDown, role: Role::FfnDown },
];

impl Part {
    fn is_in(self, layer: &StagedLayer) -> bool {
        layer.sites().contains(&self.last)
    }

    /// What the last projection reads, `[tokens, width]`.
    fn input(self, layer: &StagedLayer, hidden: &Hidden) -> Result<Vec<f32>, CompressError> {
        let first = layer.input(self.first, hidden, Vec::new())?;
        Ok(layer.input(self.last, hidden, first)?)
    }

    /// Takes a text past the part; gives what the last projection read.
    fn pass(self, layer: &StagedLayer, text: usize, hidden: &mut Hidden) -> Result<Vec<f32>, CompressError> {
        let input = self.input(layer, hidden)?;
        layer.finish(self.last, text, hidden, input.clone())?;
        Ok(input)
    }
}

/// Both models on their way.
struct Sequence<'a> {
    parent: &'a Checkpoint,
    smaller: &'a Checkpoint,
    shape: &'a ShapePlan,
    wanted: Vec<TensorId>,
    file: RepairedFile,
}

/// The texts between two parts of a layer.
struct Streams {
    /// As the parent has them.
    parent: Vec<Hidden>,
    /// As the smaller model has them.
    child: Vec<Hidden>,
}

impl Sequence<'_> {
    fn run(mut self, texts: &[Vec<u32>], progress: &dyn Progress) -> Result<(), CompressError> {
        progress.begin("repairing", self.shape.of as u64);
        let (parent, smaller) = (StagedModel::new(self.parent)?, StagedModel::new(self.smaller)?);
        let forward = Forward::new(self.parent, Residency::Stream)?;
        let embedded = texts.iter().map(|text| forward.embed(text)).collect::<Result<Vec<_>, _>>()?;
        let mut streams = Streams { child: embedded.clone(), parent: embedded };
        let mut kept = self.shape.layers.iter().enumerate().peekable();
        for index in 0..self.shape.of {
            let layer = parent.layer(index)?;
            match kept.next_if(|(_, kept)| kept.layer == index) {
                Some((new, _)) => self.layer(&layer, smaller.layer(new)?, new, &mut streams, progress)?,
                None => Self::pass(&layer, &mut streams.parent, progress)?,
            }
            progress.advance(1);
        }
        self.file.finish()
    }

    /// Takes texts through a layer as it is.
    fn pass(layer: &StagedLayer, texts: &mut [Hidden], progress: &dyn Progress) -> Result<(), CompressError> {
        for part in PARTS.into_iter().filter(|part| part.is_in(layer)) {
            for (text, hidden) in texts.iter_mut().enumerate() {
                progress.check()?;
                part.pass(layer, text, hidden)?;
            }
        }
        Ok(())
    }

    /// Takes both streams through a layer that stays, and solves on the way what is wanted of it.
    fn layer(
        &mut self,
        parent: &StagedLayer,
        mut child: StagedLayer,
        new: usize,
        streams: &mut Streams,
        progress: &dyn Progress,
    ) -> Result<(), CompressError> {
        for part in PARTS.into_iter().filter(|part| part.is_in(parent)) {
            let id = TensorId::in_layer(new, part.role);
            let is_wanted = self.wanted.contains(&id);
            let mut sums = self.sums(id)?;
            let mut inputs = Vec::with_capacity(streams.child.len());
            for (text, (of_parent, of_child)) in streams.parent.iter_mut().zip(&streams.child).enumerate() {
                progress.check()?;
                let read_by_parent = part.pass(parent, text, of_parent)?;
                let input = part.input(&child, of_child)?;
                if is_wanted {
                    let wanted =
                        Wanted::of(self.parent, parent, part.last, &read_by_parent, of_parent, of_child)?;
                    let (inputs, wanted) = wanted.weighted(&input);
                    let sums = &mut sums[usize::from(text % HELD_OUT_STEP == HELD_OUT_STEP - 1)];
                    sums.add(&inputs, &wanted).map_err(ForwardError::from)?;
                }
                inputs.push(input);
            }
            if is_wanted {
                let mut weights = self.smaller.tensor(id)?.read_all()?;
                let [fitted, held_out] = sums.map(|sums| sums.averages());
                if let Some(fitted) = fitted {
                    let judge = held_out.as_ref().unwrap_or(&fitted);
                    let solved = solve(&weights, (&fitted).into(), judge.into());
                    weights = solved.map_err(ForwardError::from)?.weights;
                }
                self.file.put(id, &weights)?;
                child.replace(part.last, weights)?;
            }
            for (text, (hidden, input)) in streams.child.iter_mut().zip(inputs).enumerate() {
                child.finish(part.last, text, hidden, input)?;
            }
        }
        Ok(())
    }

    /// Sums for fitting, and for judging.
    fn sums(&self, id: TensorId) -> Result<[Sums; 2], CompressError> {
        let rows = self.smaller.tensor(id)?;
        let sums = Sums::new(rows.rows(), rows.row_len());
        Ok([sums.clone(), sums])
    }
}
