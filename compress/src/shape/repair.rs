//! Takes two copies of a text through the model, as the parent and as the smaller model see it, and solves each matrix of the smaller one that reads
//! something else than in the parent: output projections for what the parent's hidden states are, all others for what they gave there.

use std::path::Path;

use secateur_model::shape::{Repair, ShapePlan};
use secateur_model::{Checkpoint, Kept, ModelSpec, Role, TensorId};

use super::bias::write_biases;
use super::repaired_file::RepairedFile;
use crate::CompressError;
use crate::forward::{Forward, ForwardError, Hidden, Residency, Site, StagedLayer, StagedModel, TokenRows};
use crate::progress::Progress;
use crate::side_by_side::side_by_side;
use crate::solve::{Averages, Streams, Sums, Wanted, columns, judges, solve};
use crate::statistics::Statistics;

/// The tensors that are solved anew, in the order in which they are: all matrices of layers whose input differs from the parent's, but for what reads a
/// part that does not.
fn repaired_tensors(spec: &ModelSpec, shape: &ShapePlan) -> Vec<TensorId> {
    let mut tensors = Vec::new();
    let mut differs = shape.hidden.is_some();
    for (new, kept) in shape.layers.iter().enumerate() {
        differs |= kept.layer != new;
        for (part, is_cut) in PARTS.into_iter().zip([kept.kv_heads.is_some(), kept.ffn.is_some()]) {
            let readers = if differs { part.first.roles() } else { &[] };
            differs |= is_cut;
            let roles = readers.iter().copied().chain(differs.then_some(part.role));
            let is_there = |role: &Role| spec.shape(TensorId::in_layer(kept.layer, *role)).is_some();
            tensors.extend(roles.filter(is_there).map(|role| TensorId::in_layer(new, role)));
        }
    }
    tensors.extend(shape.hidden.iter().map(|_| TensorId::global(Role::OutputNorm)));
    tensors
}

/// Writes the tensors that take over from what goes to `path`, as [`Checkpoint::with_shape`] reads them: matrices solved anew,
/// or biases beside them. `smaller` is the model in its shape as it is without repair; `statistics` are the parent's, over texts of at most 512
/// tokens each.
///
/// Memory holds a layer of each model, the sums of one projection, and up to 256 MiB each of the texts' hidden states in either model and of what the
/// projection reads; more than these go to files beside `path` until the work is done.
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
            let all_hidden = match shape.hidden {
                Some(_) => {
                    Some(parent.clone().with_shape(&ShapePlan { hidden: None, ..shape.clone() }, None)?)
                }
                None => None,
            };
            // a file has a folder
            let folder = path.parent().unwrap_or(Path::new("."));
            let all_hidden = all_hidden.as_ref().unwrap_or(smaller);
            let texts = statistics.sequences();
            Sequence { parent, smaller, all_hidden, shape, wanted, file, texts, folder }.run(progress)
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
}

/// Both models on their way.
struct Sequence<'a> {
    parent: &'a Checkpoint,
    smaller: &'a Checkpoint,
    /// The smaller model with all hidden dimensions: of what the parent reads, its matrices give what the parent's give.
    all_hidden: &'a Checkpoint,
    shape: &'a ShapePlan,
    wanted: Vec<TensorId>,
    file: RepairedFile,
    texts: &'a [Vec<u32>],
    /// Where there is room for what memory does not hold.
    folder: &'a Path,
}

/// What a text has to say about a projection: what it reads, `[tokens, width]`, and should give, `[tokens, hidden]`.
type Said = (Vec<f32>, Vec<f32>);

/// What is seen of the texts at the last projection of a part.
struct Seen<'a> {
    streams: &'a mut Streams,
    /// What the projection of the smaller model reads.
    inputs: TokenRows,
    sums: [Sums; 2],
}

impl Sequence<'_> {
    fn run(mut self, progress: &dyn Progress) -> Result<(), CompressError> {
        progress.begin("repairing", self.shape.of as u64);
        let (parent, smaller) = (StagedModel::new(self.parent)?, StagedModel::new(self.smaller)?);
        let mut streams =
            Streams { parent: self.embedded(self.parent)?, child: self.embedded(self.smaller)? };
        let mut kept = self.shape.layers.iter().enumerate().peekable();
        for index in 0..self.shape.of {
            let layer = parent.layer(index)?;
            match kept.next_if(|(_, kept)| kept.layer == index) {
                Some((new, _)) => {
                    self.layer(&layer, smaller.layer(new)?, new, &mut streams, progress)?;
                }
                None => layer.pass_all(&mut streams.parent, progress)?,
            }
            progress.advance(1);
        }
        if self.shape.hidden.is_some() {
            let norm = self.output_norm(&parent, &smaller, &mut streams)?;
            self.file.put(TensorId::global(Role::OutputNorm), &norm)?;
        }
        self.file.finish()
    }

    /// Room for so many numbers of each token.
    fn rows(&self, width: usize) -> Result<TokenRows, ForwardError> {
        TokenRows::new(self.texts.iter().map(Vec::len), width, self.folder)
    }

    /// The texts before the first layer.
    fn embedded(&self, model: &Checkpoint) -> Result<TokenRows, ForwardError> {
        let forward = Forward::new(model, Residency::Stream)?;
        let mut rows = self.rows(model.spec.hidden_size)?;
        for (text, tokens) in self.texts.iter().enumerate() {
            rows.put(text, forward.embed(tokens)?.values())?;
        }
        Ok(rows)
    }

    /// The last norm's weights of what stays, each times what brings its outputs nearest to those of the parent: fewer dimensions have another mean square.
    fn output_norm(
        &self,
        parent: &StagedModel,
        smaller: &StagedModel,
        streams: &mut Streams,
    ) -> Result<Vec<f32>, CompressError> {
        let mut weights = self.smaller.tensor(TensorId::global(Role::OutputNorm))?.read_all()?;
        let width = weights.len();
        let (mut products, mut squares) = (vec![0.0_f64; width], vec![0.0_f64; width]);
        for text in 0..self.texts.len() {
            let wanted = self.in_kept(parent.output_input(&streams.parent.hidden(text)?)?);
            let given = smaller.output_input(&streams.child.hidden(text)?)?;
            for (wanted, given) in wanted.chunks_exact(width).zip(given.chunks_exact(width)) {
                for (index, (&wanted, &given)) in wanted.iter().zip(given).enumerate() {
                    products[index] += f64::from(wanted) * f64::from(given);
                    squares[index] += f64::from(given).powi(2);
                }
            }
        }
        for (weight, (product, square)) in weights.iter_mut().zip(products.iter().zip(&squares)) {
            if *square > 0.0 {
                *weight *= (product / square) as f32;
            }
        }
        Ok(weights)
    }

    /// Of `[tokens, hidden]` of the parent, the hidden dimensions that stay.
    fn in_kept(&self, values: Vec<f32>) -> Vec<f32> {
        columns(values.into(), self.parent.spec.hidden_size, self.kept_hidden()).into_owned()
    }

    fn kept_hidden(&self) -> Option<&[u32]> {
        self.shape.hidden.as_ref().map(Kept::indices)
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
            self.readers(part, parent, &mut child, new, streams, progress)?;
            let id = TensorId::in_layer(new, part.role);
            let is_wanted = self.wanted.contains(&id);
            let rows = self.smaller.tensor(id)?;
            let sums = sums(rows.rows(), rows.row_len());
            let mut seen = Seen { streams, inputs: self.rows(rows.row_len())?, sums };
            let begin = |seen: &mut Seen, text| {
                progress.check()?;
                Ok(seen.streams.hidden(text)?)
            };
            let work = |text, (mut of_parent, of_child): (Hidden, Hidden)| {
                let read_by_parent = parent.input(part.last, &of_parent)?;
                parent.finish(part.last, text, &mut of_parent, read_by_parent.clone())?;
                let input = child.input(part.last, &of_child)?;
                let mut said = None;
                if is_wanted {
                    let (model, kept) = ((self.smaller, new), self.kept_hidden());
                    let wanted =
                        Wanted::of(model, parent, part.last, &read_by_parent, &of_parent, &of_child, kept)?;
                    said = Some(wanted.weighted(&input));
                }
                Ok::<_, CompressError>((of_parent, input, said))
            };
            let end = |seen: &mut Seen, text, (of_parent, input, said): (Hidden, Vec<f32>, Option<Said>)| {
                if let Some((inputs, wanted)) = said {
                    let sums = &mut seen.sums[usize::from(judges(text))];
                    sums.add(&inputs, &wanted).map_err(ForwardError::from)?;
                }
                seen.streams.parent.put(text, of_parent.values())?;
                Ok(seen.inputs.put(text, &input)?)
            };
            side_by_side(&mut seen, self.texts.len(), begin, work, end)?;
            let Seen { mut inputs, sums, .. } = seen;
            if is_wanted {
                let before = rows.read_all()?;
                let weights = fitted(&sums, &before, None)?.unwrap_or(before);
                self.file.put(id, &weights)?;
                child.replace(part.last, weights)?;
            }
            child.finish_all(part.last, &mut streams.child, &mut inputs, progress)?;
        }
        Ok(())
    }

    /// Solves the matrices that a part begins with, if that is wanted of them, so that of the smaller model's hidden states they give what they gave of the
    /// parent's.
    fn readers(
        &mut self,
        part: Part,
        parent: &StagedLayer,
        child: &mut StagedLayer,
        new: usize,
        streams: &mut Streams,
        progress: &dyn Progress,
    ) -> Result<(), CompressError> {
        let ids = part.first.roles().iter().map(|&role| TensorId::in_layer(new, role));
        let ids: Vec<TensorId> = ids.filter(|id| self.wanted.contains(id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let sums = sums(self.parent.spec.hidden_size, self.smaller.spec.hidden_size);
        let mut seen = (&mut *streams, sums);
        let begin = |(streams, _): &mut (&mut Streams, [Sums; 2]), text| {
            progress.check()?;
            Ok(streams.hidden(text)?)
        };
        let work = |_, (of_parent, of_child): (Hidden, Hidden)| {
            let of_parent = parent.input(part.first, &of_parent)?;
            Ok::<_, CompressError>((of_parent, child.input(part.first, &of_child)?))
        };
        let end =
            |(_, sums): &mut (&mut Streams, [Sums; 2]), text, (of_parent, of_child): (Vec<f32>, Vec<f32>)| {
                let sums = &mut sums[usize::from(judges(text))];
                Ok(sums.add(&of_child, &of_parent).map_err(ForwardError::from)?)
            };
        side_by_side(&mut seen, self.texts.len(), begin, work, end)?;
        let (_, sums) = seen;
        // one above the other, so that what they all read is factored once
        let stacked = |model: &Checkpoint| -> Result<Vec<Vec<f32>>, CompressError> {
            ids.iter().map(|&id| Ok(model.tensor(id)?.read_all()?)).collect()
        };
        let matrices = stacked(self.smaller)?;
        let (before, gave) = (matrices.concat(), stacked(self.all_hidden)?.concat());
        let weights = fitted(&sums, &before, Some(&gave))?.unwrap_or(before);
        let mut rest = weights.as_slice();
        for (&id, matrix) in ids.iter().zip(&matrices) {
            let (own, after) = rest.split_at(matrix.len());
            self.file.put(id, own)?;
            rest = after;
        }
        Ok(child.replace(part.first, weights)?)
    }
}

/// Sums for fitting, and for judging, a matrix `[outputs, width]`.
fn sums(outputs: usize, width: usize) -> [Sums; 2] {
    std::array::from_fn(|_| Sums::new(outputs, width))
}

/// The weights that fit best what is summed for fitting and for judging; nothing if nothing was. The sums are of what should come out, or of what `through`
/// should make it of.
fn fitted(
    [fitted, held_out]: &[Sums; 2],
    before: &[f32],
    through: Option<&[f32]>,
) -> Result<Option<Vec<f32>>, CompressError> {
    let averages = |sums: &Sums| -> Result<Option<Averages>, ForwardError> {
        let Some(mut averages) = sums.averages() else { return Ok(None) };
        if let Some(weights) = through {
            averages.cross = averages.through(weights)?;
        }
        Ok(Some(averages))
    };
    let Some(fitted) = averages(fitted)? else { return Ok(None) };
    let held_out = averages(held_out)?;
    let judge = held_out.as_ref().unwrap_or(&fitted);
    Ok(Some(solve(before, (&fitted).into(), judge.into()).map_err(ForwardError::from)?.weights))
}
