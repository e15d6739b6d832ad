//! From the embedding to the last layer, each rounded on what those before it give once they are rounded.

use std::borrow::Cow;

use secateur_model::{Checkpoint, ModelError, Role, TensorId, dequantize_row};

use super::site::{Said, SiteAverages, SiteSums};
use super::store::{Part, RoundedMatrices, RoundedStore, Types, matrices_of};
use super::target::{Trial, USUAL_DAMPING, damped, target, wanted};
use crate::CompressError;
use crate::forward::{ForwardError, Hidden, Site, StagedLayer, StagedModel, TokenRows};
use crate::progress::Progress;
use crate::side_by_side::side_by_side;
use crate::solve::{Averages, Equations, Streams};
use secateur_quantize::feedback::{Problem, round_matrix};

/// How matrices are rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Solves for weights that make good what was lost before; else the parent's weights are the target.
    pub solves: bool,
    /// Times that every code, scale and minimum is improved after rounding.
    pub sweeps: usize,
}

/// A model on its way. Its goal are the hidden states of the model that it was before its shape was cut, so that what a repair has left over is made
/// good again where rounding errors are; unless hidden dimensions went, for then there are none to compare.
pub(super) struct Sequence<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Of every matrix.
    pub types: &'a Types,
    pub settings: Settings,
    /// Of the token embedding and the output matrix: what errors in their rows are weighed by, `[hidden, hidden]`.
    pub vocabulary_second: &'a dyn Fn(Role) -> Vec<f32>,
    pub texts: &'a [Vec<u32>],
    pub store: &'a RoundedStore,
}

/// What a rounded model should do.
struct Goal<'a> {
    /// Whose hidden states it should have.
    parent: &'a Checkpoint,
    /// For each layer of ours, which of the parent's it was.
    layers: Vec<usize>,
    /// The parent in our shape, nothing repaired: of what the parent reads, its matrices give what they gave there.
    given: Cow<'a, Checkpoint>,
}

/// A layer whose turn it is.
struct Turn<'a> {
    index: usize,
    parent: &'a StagedLayer<'a>,
    /// As in [`Goal`].
    given: &'a Checkpoint,
    /// Whether its matrices are rounded already.
    is_known: bool,
}

/// What is seen of the texts at one site.
struct Seen<'a> {
    streams: &'a mut Streams,
    /// What the child reads, until the matrix is known that reads it: where it ends a part of a layer.
    inputs: Option<TokenRows>,
    sums: SiteSums,
    /// Whether parent and child have the same so far.
    is_same: bool,
}

/// A text that has passed a site.
struct Passed {
    of_parent: Hidden,
    read_by_child: Vec<f32>,
    said: Option<Said>,
    /// Whether parent and child had the same there.
    is_same: bool,
}

/// Rows of a vocabulary that are rounded at a time: 16 MiB as `f32`.
const CHUNK_ELEMENTS: usize = 4 << 20;

impl Sequence<'_> {
    /// Rounds what the store does not have yet. `progress` counts layers.
    pub fn run(&self, progress: &dyn Progress) -> Result<(), CompressError> {
        let Goal { parent, layers, given } = self.goal()?;
        progress.begin("rounding", layers.len() as u64 + 1);
        let vocabulary = self.vocabulary()?;
        progress.advance(1);
        let mut streams = Streams { parent: self.embedded(None)?, child: self.embedded(Some(&vocabulary))? };
        drop(vocabulary);
        let (parent, child) = (StagedModel::new(parent)?, StagedModel::new(self.checkpoint)?);
        let mut passed = 0;
        for (index, &of_parent) in layers.iter().enumerate() {
            for gone in passed..of_parent {
                let layer = parent.layer(gone)?;
                layer.pass_all(&mut streams.parent, progress)?;
            }
            passed = of_parent + 1;
            let known =
                self.store.part(Part::Layer(index), &matrices_of(self.checkpoint, Part::Layer(index)));
            let is_known = known.is_some();
            let mut rounded = known.unwrap_or_default();
            let (of_parent, mut of_child) = (parent.layer(of_parent)?, child.layer(index)?);
            let turn = Turn { index, parent: &of_parent, given: &given, is_known };
            self.layer(&turn, &mut of_child, &mut streams, &mut rounded, progress)?;
            if !is_known {
                self.store.keep(Part::Layer(index), &rounded)?;
            }
            progress.advance(1);
        }
        Ok(())
    }

    fn goal(&self) -> Result<Goal<'_>, CompressError> {
        Ok(match (self.checkpoint.before_shape(), self.checkpoint.shape()) {
            (Some(before), Some(shape)) if shape.hidden.is_none() => Goal {
                parent: before,
                layers: shape.layers.iter().map(|kept| kept.layer).collect(),
                given: Cow::Owned(before.clone().with_shape(shape, None)?),
            },
            _ => Goal {
                parent: self.checkpoint,
                layers: (0..self.checkpoint.spec.layers.len()).collect(),
                given: Cow::Borrowed(self.checkpoint),
            },
        })
    }

    fn vocabulary(&self) -> Result<RoundedMatrices, CompressError> {
        let wanted = matrices_of(self.checkpoint, Part::Vocabulary);
        if let Some(known) = self.store.part(Part::Vocabulary, &wanted) {
            return Ok(known);
        }
        let mut rounded = RoundedMatrices::new();
        for id in wanted {
            if let Some(bytes) = self.stored(self.checkpoint, id)? {
                rounded.insert(id, bytes);
                continue;
            }
            let rows = self.checkpoint.tensor(id)?;
            let problem = self.problem(id, &(self.vocabulary_second)(id.role), rows.row_len())?;
            let mut bytes = Vec::new();
            let step = (CHUNK_ELEMENTS / rows.row_len()).max(1);
            for start in (0..rows.rows()).step_by(step) {
                let end = (start + step).min(rows.rows());
                let mut values = vec![0.0; (end - start) * rows.row_len()];
                rows.read(start..end, &mut values)?;
                bytes.extend(self.round(id, &values, &problem)?);
            }
            rounded.insert(id, bytes);
        }
        self.store.keep(Part::Vocabulary, &rounded)?;
        Ok(rounded)
    }

    /// Room for so many numbers of each token.
    fn rows(&self, width: usize) -> Result<TokenRows, ForwardError> {
        TokenRows::new(self.texts.iter().map(Vec::len), width, self.store.folder())
    }

    /// The texts before the first layer, from the parent's embedding or a rounded one.
    fn embedded(&self, rounded: Option<&RoundedMatrices>) -> Result<TokenRows, CompressError> {
        let spec = &self.checkpoint.spec;
        let id = TensorId::global(Role::TokenEmbedding);
        let rows = self.checkpoint.tensor(id)?;
        let mut embedded = self.rows(spec.hidden_size)?;
        for (number, text) in self.texts.iter().enumerate() {
            let mut values = vec![0.0; text.len() * spec.hidden_size];
            for (&token, row) in text.iter().zip(values.chunks_exact_mut(spec.hidden_size)) {
                let token = token as usize;
                match rounded.and_then(|rounded| rounded.get(&id)) {
                    Some(bytes) => {
                        let row_bytes = bytes.len() / rows.rows();
                        self.dequantize(id, &bytes[token * row_bytes..][..row_bytes], row)?;
                    }
                    None => rows.read(token..token + 1, row)?,
                }
                row.iter_mut().for_each(|value| *value *= spec.embedding_scale);
            }
            embedded.put(number, &values)?;
        }
        Ok(embedded)
    }

    /// Takes both streams through a layer, as the parent and the child have it; unless its matrices are known, they are rounded on the
    /// way.
    fn layer(
        &self,
        turn: &Turn,
        child: &mut StagedLayer,
        streams: &mut Streams,
        rounded: &mut RoundedMatrices,
        progress: &dyn Progress,
    ) -> Result<(), CompressError> {
        let &Turn { index, parent, given, is_known } = turn;
        for site in child.sites() {
            let ends_part = site.ends_part();
            let width = self.checkpoint.tensor(TensorId::in_layer(index, site.roles()[0]))?.row_len();
            let inputs = ends_part.then(|| self.rows(width)).transpose()?;
            let mut seen = Seen { streams, inputs, sums: SiteSums::default(), is_same: true };
            let begin = |seen: &mut Seen, text| {
                progress.check()?;
                Ok(seen.streams.hidden(text)?)
            };
            let work = |text, (mut of_parent, of_child): (Hidden, Hidden)| {
                let read_by_parent = parent.input(site, &of_parent)?;
                let read_by_child = child.input(site, &of_child)?;
                let is_same = of_parent == of_child && read_by_parent == read_by_child;
                if ends_part {
                    parent.finish(site, text, &mut of_parent, read_by_parent.clone())?;
                }
                let mut said = None;
                if !is_known {
                    let (read, hidden) = ((&*read_by_parent, &*read_by_child), (&of_parent, &of_child));
                    said = Some(Said::of(site, (self.checkpoint, index), parent, read, hidden)?);
                }
                Ok::<_, CompressError>(Passed { of_parent, read_by_child, said, is_same })
            };
            let end = |seen: &mut Seen, text, passed: Passed| {
                let Passed { of_parent, read_by_child: input, said, is_same } = passed;
                seen.is_same &= is_same;
                if let Some(said) = said {
                    seen.sums.add(text, &said)?;
                }
                if let Some(inputs) = &mut seen.inputs {
                    seen.streams.parent.put(text, of_parent.values())?;
                    inputs.put(text, &input)?;
                }
                Ok(())
            };
            side_by_side(&mut seen, self.texts.len(), begin, work, end)?;
            let Seen { inputs, sums, is_same, .. } = seen;
            if !is_known {
                match is_same.then(|| self.kept(index, site, given)).transpose()?.flatten() {
                    Some(kept) => rounded.extend(kept),
                    None => self.site(index, site, given, sums, rounded)?,
                }
            }
            child.replace(site, self.stacked(index, site, rounded)?)?;
            if let Some(mut inputs) = inputs {
                child.finish_all(site, &mut streams.child, &mut inputs, progress)?;
            }
        }
        Ok(())
    }

    /// The bytes of the matrices of a site, if they stay what they are. Where nothing was lost before, there is nothing to make good, and no other bytes
    /// would be nearer.
    fn kept(
        &self,
        index: usize,
        site: Site,
        given: &Checkpoint,
    ) -> Result<Option<RoundedMatrices>, CompressError> {
        let mut kept = RoundedMatrices::new();
        for &role in site.roles() {
            let id = TensorId::in_layer(index, role);
            match (self.stored(self.checkpoint, id)?, self.stored(given, id)?) {
                (Some(bytes), Some(of_parent)) if bytes == of_parent => kept.insert(id, bytes),
                _ => return Ok(None),
            };
        }
        Ok(Some(kept))
    }

    /// The bytes of a matrix of a model as they are stored; `None` unless it is stored in the type that it will have.
    fn stored(&self, model: &Checkpoint, id: TensorId) -> Result<Option<Vec<u8>>, CompressError> {
        let rows = model.tensor(id)?;
        if rows.tensor_type() != self.types[&id] || rows.offset() != 0.0 {
            return Ok(None);
        }
        let raw = (0..rows.rows()).map(|row| rows.raw_row(row)).collect::<Option<Vec<_>>>();
        Ok(raw.map(|rows| rows.concat()))
    }

    /// Rounds the matrices that read from a site.
    fn site(
        &self,
        index: usize,
        site: Site,
        given: &Checkpoint,
        sums: SiteSums,
        rounded: &mut RoundedMatrices,
    ) -> Result<(), CompressError> {
        let Some(SiteAverages { fitted, judging, all }) = sums.averages() else { return Ok(()) };
        let mut matrices = Vec::new();
        for &role in site.roles() {
            let id = TensorId::in_layer(index, role);
            let weights = self.checkpoint.tensor(id)?.read_all()?;
            let given = given.tensor(id)?.read_all()?;
            let cross =
                |averages: &Averages| wanted(&given, averages, site.ends_part()).map_err(ForwardError::from);
            let judge = judging.as_ref().map(cross).transpose()?;
            let target = if self.settings.solves {
                let judging = judging.as_ref().zip(judge.as_deref());
                let judging = judging.map(|(averages, cross)| Equations { cross, ..averages.into() });
                let (of_fitted, of_all) = (cross(&fitted)?, cross(&all)?);
                let fitted = Equations { cross: &of_fitted, ..(&fitted).into() };
                let all = Equations { cross: &of_all, ..(&all).into() };
                target(&weights, fitted, judging, all).map_err(ForwardError::from)?
            } else {
                weights
            };
            matrices.push((id, target, judge));
        }
        let trials: Vec<Trial> = matrices
            .iter()
            .filter_map(|(id, target, cross)| {
                let judging = Equations { cross: cross.as_deref()?, ..judging.as_ref()?.into() };
                Some(Trial { tensor_type: self.types[id], target, judging })
            })
            .collect();
        let first = TensorId::in_layer(index, site.roles()[0]);
        let problem = damped(&all.second, all.width, &trials, self.settings.sweeps)
            .map_err(|source| CompressError::Moments { tensor: self.name(first), source })?;
        for (id, target, _) in &matrices {
            rounded.insert(*id, self.round(*id, target, &problem)?);
        }
        Ok(())
    }

    /// The rounded matrices of a site as numbers, one above the other: `[sum of out_features, in_features]`.
    fn stacked(
        &self,
        index: usize,
        site: Site,
        rounded: &RoundedMatrices,
    ) -> Result<Vec<f32>, CompressError> {
        let mut stacked = Vec::new();
        for &role in site.roles() {
            let id = TensorId::in_layer(index, role);
            let rows = self.checkpoint.tensor(id)?;
            let start = stacked.len();
            stacked.resize(start + rows.rows() * rows.row_len(), 0.0);
            let bytes = rounded.get(&id).map(Vec::as_slice).unwrap_or_default();
            self.dequantize(id, bytes, &mut stacked[start..])?;
        }
        Ok(stacked)
    }

    fn problem(&self, id: TensorId, second: &[f32], width: usize) -> Result<Problem, CompressError> {
        Problem::new(second, width, USUAL_DAMPING)
            .map_err(|source| CompressError::Moments { tensor: self.name(id), source })
    }

    fn round(&self, id: TensorId, values: &[f32], problem: &Problem) -> Result<Vec<u8>, CompressError> {
        round_matrix(self.types[&id], values, problem, self.settings.sweeps)
            .map_err(|source| CompressError::Quantize { tensor: self.name(id), source })
    }

    fn dequantize(&self, id: TensorId, bytes: &[u8], out: &mut [f32]) -> Result<(), CompressError> {
        dequantize_row(self.types[&id], bytes, out)
            .map_err(|source| ModelError::Dequantize { tensor: self.name(id), source }.into())
    }

    fn name(&self, id: TensorId) -> String {
        self.checkpoint.spec.family.table().gguf_name(id).unwrap_or_default()
    }
}
