//! From the embedding to the last layer, each rounded on what those before it give once they are rounded.

use secateur_model::{Checkpoint, ModelError, Role, TensorId, dequantize_row};

use super::site::{SiteAverages, SiteSums};
use super::store::{Part, RoundedMatrices, RoundedStore, Types, matrices_of};
use super::target::{Trial, USUAL_DAMPING, damped, target, wanted};
use crate::CompressError;
use crate::forward::{ForwardError, Hidden, Site, StagedLayer, StagedModel};
use crate::progress::Progress;
use crate::solve::{Averages, Equations};
use secateur_quantize::feedback::{Problem, round_matrix};

/// How matrices are rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Solves for weights that make good what was lost before; else the parent's weights are the target.
    pub solves: bool,
    /// Times that every code, scale and minimum is improved after rounding.
    pub sweeps: usize,
}

/// A model on its way.
pub(super) struct Sequence<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Of every matrix.
    pub types: &'a Types,
    pub settings: Settings,
    /// Of the token embedding and the output matrix: what errors in their rows are weighed by, `[hidden, hidden]`.
    pub vocabulary_second: &'a dyn Fn(Role) -> Vec<f32>,
}

/// The calibration texts between two layers.
struct Streams {
    /// As the parent has them.
    parent: Vec<Hidden>,
    /// As the rounded model has them.
    child: Vec<Hidden>,
}

/// Rows of a vocabulary that are rounded at a time: 16 MiB as `f32`.
const CHUNK_ELEMENTS: usize = 4 << 20;

impl Sequence<'_> {
    /// Rounds what `store` does not have yet. `progress` counts layers.
    pub fn run(
        &self,
        texts: &[Vec<u32>],
        store: &RoundedStore,
        progress: &dyn Progress,
    ) -> Result<(), CompressError> {
        let layers = self.checkpoint.spec.layers.len();
        progress.begin("rounding", layers as u64 + 1);
        let vocabulary = self.vocabulary(store)?;
        progress.advance(1);
        let mut streams = Streams {
            parent: texts.iter().map(|text| self.embed(text, None)).collect::<Result<_, _>>()?,
            child: texts.iter().map(|text| self.embed(text, Some(&vocabulary))).collect::<Result<_, _>>()?,
        };
        drop(vocabulary);
        let model = StagedModel::new(self.checkpoint)?;
        for index in 0..layers {
            let known = store.part(Part::Layer(index), &matrices_of(self.checkpoint, Part::Layer(index)));
            let is_known = known.is_some();
            let mut rounded = known.unwrap_or_default();
            let parent = model.layer(index)?;
            let mut child = model.layer(index)?;
            self.layer(index, (&parent, &mut child), &mut streams, &mut rounded, is_known, progress)?;
            if !is_known {
                store.keep(Part::Layer(index), &rounded)?;
            }
            progress.advance(1);
        }
        Ok(())
    }

    fn vocabulary(&self, store: &RoundedStore) -> Result<RoundedMatrices, CompressError> {
        let wanted = matrices_of(self.checkpoint, Part::Vocabulary);
        if let Some(known) = store.part(Part::Vocabulary, &wanted) {
            return Ok(known);
        }
        let mut rounded = RoundedMatrices::new();
        for id in wanted {
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
        store.keep(Part::Vocabulary, &rounded)?;
        Ok(rounded)
    }

    /// The hidden states before the first layer, from the parent's embedding or a rounded one.
    fn embed(&self, text: &[u32], rounded: Option<&RoundedMatrices>) -> Result<Hidden, CompressError> {
        let spec = &self.checkpoint.spec;
        let id = TensorId::global(Role::TokenEmbedding);
        let rows = self.checkpoint.tensor(id)?;
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
        Ok(Hidden::new(values, spec.hidden_size))
    }

    /// Takes both streams through a layer, as the parent and the child have it; unless its matrices are known, they are rounded on the
    /// way.
    fn layer(
        &self,
        index: usize,
        (parent, child): (&StagedLayer, &mut StagedLayer),
        streams: &mut Streams,
        rounded: &mut RoundedMatrices,
        is_known: bool,
        progress: &dyn Progress,
    ) -> Result<(), CompressError> {
        // of each text, what the site read last: by the parent, by the child
        let mut inputs = vec![(Vec::new(), Vec::new()); streams.parent.len()];
        for site in parent.sites() {
            let mut sums = SiteSums::new(site);
            let ends_part = site.ends_part();
            for (text, input) in inputs.iter_mut().enumerate() {
                progress.check()?;
                let (of_parent, of_child) = std::mem::take(input);
                let of_parent = parent.input(site, &streams.parent[text], of_parent)?;
                let of_child = child.input(site, &streams.child[text], of_child)?;
                if ends_part {
                    parent.finish(site, text, &mut streams.parent[text], of_parent.clone())?;
                }
                if !is_known {
                    let hidden = (&streams.parent[text], &streams.child[text]);
                    sums.add(text, (self.checkpoint, parent), (&of_parent, &of_child), hidden)?;
                }
                *input = (if ends_part { Vec::new() } else { of_parent }, of_child);
            }
            if !is_known {
                self.site(index, site, sums, rounded)?;
            }
            child.replace(site, self.stacked(index, site, rounded)?)?;
            if ends_part {
                for (text, input) in inputs.iter_mut().enumerate() {
                    let (_, of_child) = std::mem::take(input);
                    child.finish(site, text, &mut streams.child[text], of_child)?;
                }
            }
        }
        Ok(())
    }

    /// Rounds the matrices that read from a site.
    fn site(
        &self,
        index: usize,
        site: Site,
        sums: SiteSums,
        rounded: &mut RoundedMatrices,
    ) -> Result<(), CompressError> {
        let Some(SiteAverages { fitted, judging, all }) = sums.averages() else { return Ok(()) };
        let mut matrices = Vec::new();
        for &role in site.roles() {
            let id = TensorId::in_layer(index, role);
            let weights = self.checkpoint.tensor(id)?.read_all()?;
            let cross = |averages: &Averages| {
                wanted(&weights, averages, site.ends_part()).map_err(ForwardError::from)
            };
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
