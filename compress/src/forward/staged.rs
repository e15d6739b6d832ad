//! A layer one linear step at a time, with weights that can be replaced: what works its way through a model needs.

use secateur_model::{CacheType, Checkpoint, Role, TensorId};

use super::attention::KeysAndValues;
use super::layer::Layer;
use super::linear::with_values;
use super::norm::RmsNorm;
use super::rope::RopeTables;
use super::weights::{LayerReader, read_rows};
use super::{CHUNK_TOKENS, ForwardError, Hidden, Site, TokenRows, check, device};
use crate::progress::Progress;
use crate::side_by_side::side_by_side;

/// Reads layers of a model that texts of up to one chunk pass stage by stage.
#[derive(Debug)]
pub struct StagedModel<'a> {
    checkpoint: &'a Checkpoint,
    device: candle_core::Device,
    tables: RopeTables,
}

/// One layer. A text passes its [`Site`]s in order: [`input`](Self::input) gives what the linear layers of a site read,
/// [`finish`](Self::finish) adds what comes out to the hidden states.
#[derive(Debug)]
pub struct StagedLayer<'a> {
    layer: Layer,
    model: &'a StagedModel<'a>,
}

impl<'a> StagedModel<'a> {
    /// The longest text, in tokens.
    pub const LONGEST: usize = CHUNK_TOKENS;

    /// Prepares a model.
    ///
    /// # Errors
    /// If its rotary embedding is not known.
    pub fn new(checkpoint: &'a Checkpoint) -> Result<Self, ForwardError> {
        let tables = RopeTables::new(&checkpoint.spec, CHUNK_TOKENS)?;
        Ok(Self { checkpoint, device: device::device()?, tables })
    }

    /// Reads a layer.
    ///
    /// # Errors
    /// If a tensor cannot be read, or the layer has a part that is not known here.
    pub fn layer(&'a self, index: usize) -> Result<StagedLayer<'a>, ForwardError> {
        let reader = LayerReader { checkpoint: self.checkpoint, layer: index, device: &self.device };
        Ok(StagedLayer { layer: reader.read()?, model: self })
    }

    /// What the output matrix reads, `[tokens, hidden]`: the hidden states after the last norm.
    ///
    /// # Errors
    /// If the norm cannot be read.
    pub fn output_input(&self, hidden: &Hidden) -> Result<Vec<f32>, ForwardError> {
        let spec = &self.checkpoint.spec;
        let mut weight = vec![0.0; spec.hidden_size];
        read_rows(&self.checkpoint.tensor(TensorId::global(Role::OutputNorm))?, 0, &mut weight)?;
        Ok(RmsNorm { weight, epsilon: spec.norm_epsilon }.apply(hidden.values()))
    }
}

impl StagedLayer<'_> {
    /// The sites that the layer has, in the order in which a text passes them.
    pub fn sites(&self) -> Vec<Site> {
        let mut sites = Vec::new();
        if self.layer.attention.is_some() {
            sites.extend([Site::AttentionInput, Site::AttentionOutput]);
        }
        if self.layer.feed_forward.is_some() {
            sites.extend([Site::FfnInput, Site::FfnDown]);
        }
        sites
    }

    /// What the linear layers of `site` read, `[tokens, in_features]`; `hidden` is the text as it enters the part of the layer that the site is in.
    ///
    /// # Errors
    /// If there is no memory for a product.
    ///
    /// # Panics
    /// If the layer has no such site, or the text is longer than [`StagedModel::LONGEST`].
    pub fn input(&self, site: Site, hidden: &Hidden) -> Result<Vec<f32>, ForwardError> {
        assert!(hidden.tokens() <= CHUNK_TOKENS, "texts are at most one chunk long");
        let missing = "the site is one of `sites`";
        Ok(match (site, &self.layer.attention, &self.layer.feed_forward) {
            (Site::AttentionInput, Some(attention), _) => attention.norm.apply(hidden.values()),
            (Site::FfnInput, _, Some(feed_forward)) => feed_forward.norm.apply(hidden.values()),
            (Site::FfnDown, _, Some(feed_forward)) => {
                feed_forward.channels(feed_forward.norm.apply(hidden.values()))?
            }
            (Site::AttentionOutput, Some(attention), _) => {
                let spec = &self.model.checkpoint.spec.layers[self.layer.index];
                let mut memory = KeysAndValues::new(spec, hidden.tokens(), CacheType::F32);
                let read = attention.norm.apply(hidden.values());
                match self.model.tables.of_layer(self.layer.index) {
                    Some(rope) => attention.mixed(read, &mut [&mut memory], rope)?,
                    None => {
                        return Err(ForwardError::Unsupported {
                            layer: self.layer.index,
                            part: "rotary embedding",
                        });
                    }
                }
            }
            _ => panic!("{missing}"),
        })
    }

    /// Takes a text through the whole layer.
    ///
    /// # Errors
    /// As [`input`](Self::input) and [`finish`](Self::finish).
    pub fn pass(&self, text: usize, hidden: &mut Hidden) -> Result<(), ForwardError> {
        for site in self.sites().into_iter().filter(|site| site.ends_part()) {
            let input = self.input(site, hidden)?;
            self.finish(site, text, hidden, input)?;
        }
        Ok(())
    }

    /// Takes texts through the whole layer.
    ///
    /// # Errors
    /// As [`pass`](Self::pass), if the disk refuses, or if the user interrupts.
    pub(crate) fn pass_all(
        &self,
        texts: &mut TokenRows,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let begin = |texts: &mut TokenRows, text| {
            check(progress)?;
            texts.hidden(text)
        };
        let work = |text, mut hidden| self.pass(text, &mut hidden).map(|()| hidden);
        let count = texts.texts();
        side_by_side(texts, count, begin, work, |texts, text, hidden| texts.put(text, hidden.values()))
    }

    /// What the linear layers of a site make of `input`, `[tokens, sum of out_features]`, before any norm.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn output(&self, site: Site, input: Vec<f32>) -> Result<Vec<f32>, ForwardError> {
        let linear = match (site, &self.layer.attention, &self.layer.feed_forward) {
            (Site::AttentionInput, Some(attention), _) => &attention.query_key_value,
            (Site::AttentionOutput, Some(attention), _) => &attention.output,
            (Site::FfnInput, _, Some(feed_forward)) => &feed_forward.gate_up,
            (Site::FfnDown, _, Some(feed_forward)) => &feed_forward.down,
            _ => return Ok(Vec::new()),
        };
        Ok(with_values(&linear.apply(input)?, <[f32]>::to_vec)?)
    }

    /// Ends the part of the layer that `site` is the last of: adds what its linear layer makes of `input` to the hidden states.
    ///
    /// # Errors
    /// If there is no memory for a product, or something is no longer finite; `text` is named then.
    pub fn finish(
        &self,
        site: Site,
        text: usize,
        hidden: &mut Hidden,
        input: Vec<f32>,
    ) -> Result<(), ForwardError> {
        match (site, &self.layer.attention, &self.layer.feed_forward) {
            (Site::AttentionOutput, Some(attention), _) => {
                attention.add_output(hidden.values_mut(), input)?;
            }
            (Site::FfnDown, _, Some(feed_forward)) => feed_forward.add_output(hidden.values_mut(), input)?,
            _ => return Ok(()),
        }
        match super::norm::first_not_finite(hidden.values(), self.model.checkpoint.spec.hidden_size) {
            Some(_) => Err(ForwardError::NotFinite { layer: self.layer.index, text }),
            None => Ok(()),
        }
    }

    /// Ends a part of the layer for all texts, of which `inputs` holds what the last linear layer of the part reads.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), if the disk refuses, or if the user interrupts.
    pub(crate) fn finish_all(
        &self,
        site: Site,
        texts: &mut TokenRows,
        inputs: &mut TokenRows,
        progress: &dyn Progress,
    ) -> Result<(), ForwardError> {
        let begin = |(texts, inputs): &mut (&mut TokenRows, &mut TokenRows), text| {
            check(progress)?;
            Ok((texts.hidden(text)?, inputs.get(text)?))
        };
        let work = |text, (mut hidden, input)| self.finish(site, text, &mut hidden, input).map(|()| hidden);
        let count = texts.texts();
        side_by_side(&mut (texts, inputs), count, begin, work, |(texts, _), text, hidden| {
            texts.put(text, hidden.values())
        })
    }

    /// Other weights for all linear layers of a site, one above the other as [`roles`](Site::roles) names them:
    /// `[sum of out_features, in_features]`.
    ///
    /// # Errors
    /// If they do not have the shape of those that they replace.
    pub fn replace(&mut self, site: Site, weights: Vec<f32>) -> Result<(), ForwardError> {
        let linear = match (site, &mut self.layer.attention, &mut self.layer.feed_forward) {
            (Site::AttentionInput, Some(attention), _) => &mut attention.query_key_value,
            (Site::AttentionOutput, Some(attention), _) => &mut attention.output,
            (Site::FfnInput, _, Some(feed_forward)) => &mut feed_forward.gate_up,
            (Site::FfnDown, _, Some(feed_forward)) => &mut feed_forward.down,
            _ => return Ok(()),
        };
        Ok(linear.replace_weight(weights)?)
    }
}
