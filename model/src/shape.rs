//! A smaller shape of a model, as a plan writes it down: which layers stay, of each which heads and channels, and which hidden dimensions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::{FeedForward, LayerSpec, Mixer};
use crate::{Kept, ModelSpec};

/// What will become of the layers, and of what runs through them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapePlan {
    /// Layers that the source has.
    pub of: usize,
    /// Those that stay, from the first to the last.
    #[serde(serialize_with = "one_line_each")]
    pub layers: Vec<KeptLayer>,
    /// Which dimensions of the hidden states stay, the same in all layers; all if it is not said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hidden: Option<Kept>,
    /// How what stays takes over from what goes.
    pub repair: Repair,
}

/// A layer that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptLayer {
    /// The source's number of it.
    pub layer: usize,
    /// Which key-value heads stay, each with its query heads; all if it is not said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kv_heads: Option<Kept>,
    /// Which channels of the feed-forward part stay; all if it is not said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ffn: Option<Kept>,
}

/// How what stays takes over from what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Not at all.
    None,
    /// The output projections get biases: the mean of what is lost.
    Bias,
    /// The output projections are solved anew for what the source's gave.
    Solve,
}

impl Repair {
    /// All, from the plainest.
    pub const ALL: [Self; 3] = [Self::None, Self::Bias, Self::Solve];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bias => "bias",
            Self::Solve => "solve",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such repair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no repair; known are none, bias and solve")]
pub struct RepairError {
    found: String,
}

impl std::str::FromStr for Repair {
    type Err = RepairError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|repair| repair.name() == name);
        known.ok_or_else(|| RepairError { found: name.to_owned() })
    }
}

/// Hundreds of layers read best as lines.
fn one_line_each<S: serde::Serializer>(layers: &[KeptLayer], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(layers.iter().map(serde_saphyr::FlowMap))
}

/// Why a shape is none of this model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each field is named in the message above it
#[non_exhaustive]
pub enum ShapeError {
    #[error("the shape is of a model with {expected} layers, this one has {found}")]
    OtherModel { expected: usize, found: usize },
    #[error("no layer would stay")]
    NoLayers,
    #[error("layer {layer} is kept after layer {before}; layers ascend, each once, up to {last}")]
    LayerOrder { layer: usize, before: usize, last: usize },
    #[error("layer {layer} keeps no {what}")]
    Nothing { layer: usize, what: &'static str },
    #[error("layer {layer} has {of} {what}, number {index} is not among them")]
    Outside { layer: usize, what: &'static str, of: usize, index: u32 },
    #[error("no hidden dimension would stay")]
    NothingHidden,
    #[error("the model has {of} hidden dimensions, number {index} is not among them")]
    OutsideHidden { of: usize, index: u32 },
}

/// What heads are called in messages.
const KV_HEADS: &str = "key-value heads";
/// What channels are called in messages.
const CHANNELS: &str = "feed-forward channels";

impl ShapePlan {
    /// The spec of the smaller model, of the family that llama.cpp loads where its layers differ in size.
    ///
    /// # Errors
    /// If the shape is none of this model.
    pub fn apply(&self, spec: &ModelSpec) -> Result<ModelSpec, ShapeError> {
        if self.of != spec.layers.len() {
            return Err(ShapeError::OtherModel { expected: self.of, found: spec.layers.len() });
        }
        if self.layers.is_empty() {
            return Err(ShapeError::NoLayers);
        }
        let last = self.of.saturating_sub(1);
        for pair in self.layers.windows(2) {
            let (before, layer) = (pair[0].layer, pair[1].layer);
            if layer <= before || layer > last {
                return Err(ShapeError::LayerOrder { layer, before, last });
            }
        }
        let layers = self.layers.iter().map(|kept| match spec.layers.get(kept.layer) {
            Some(layer) => kept.apply(layer),
            None => Err(ShapeError::LayerOrder { layer: kept.layer, before: 0, last }),
        });
        let hidden_size = match self.hidden.as_ref().map(Kept::indices) {
            None => spec.hidden_size,
            Some([]) => return Err(ShapeError::NothingHidden),
            Some([.., last]) if *last as usize >= spec.hidden_size => {
                return Err(ShapeError::OutsideHidden { of: spec.hidden_size, index: *last });
            }
            Some(kept) => kept.len(),
        };
        let layers = layers.collect::<Result<_, _>>()?;
        let mut smaller = ModelSpec { hidden_size, layers, ..spec.clone() };
        if let Some(family) = spec.uneven_family().filter(|_| smaller.uneven_layer().is_some()) {
            smaller.family = family;
        }
        Ok(smaller)
    }
}

impl KeptLayer {
    /// A layer that stays whole.
    pub fn whole(layer: usize) -> Self {
        Self { layer, kv_heads: None, ffn: None }
    }

    fn apply(&self, layer: &LayerSpec) -> Result<LayerSpec, ShapeError> {
        let mut smaller = layer.clone();
        if let (Some(kept), Mixer::Attention(attention)) = (&self.kv_heads, &mut smaller.mixer) {
            let group = attention.heads / attention.kv_heads;
            attention.kv_heads = self.checked(kept, attention.kv_heads, KV_HEADS)?;
            attention.heads = attention.kv_heads * group;
        }
        if let (Some(kept), FeedForward::Gated(gated)) = (&self.ffn, &mut smaller.feed_forward) {
            gated.width = self.checked(kept, gated.width, CHANNELS)?;
        }
        Ok(smaller)
    }

    /// How many stay of `of`.
    fn checked(&self, kept: &Kept, of: usize, what: &'static str) -> Result<usize, ShapeError> {
        let layer = self.layer;
        match kept.indices().last() {
            None => Err(ShapeError::Nothing { layer, what }),
            Some(&index) if index as usize >= of => Err(ShapeError::Outside { layer, what, of, index }),
            Some(_) => Ok(kept.indices().len()),
        }
    }
}
