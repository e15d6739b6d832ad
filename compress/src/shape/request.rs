//! What shape is asked for, and whether the model can have it.

use secateur_model::ModelSpec;
use secateur_model::shape::Repair;
use secateur_model::spec::{FeedForward, Mixer};

use super::ShapeRequestError;
use super::importance::Importance;
use super::portable::{check_portable, scaled_refused, uneven_refused};

/// A smaller shape, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeRequest {
    /// Which layers stay.
    pub layers: Layers,
    /// Query heads that each layer keeps, whole groups of them; all if it is not said.
    pub heads: Option<usize>,
    /// Feed-forward channels that each layer keeps; all if it is not said.
    pub ffn: Option<usize>,
    /// Hidden dimensions that the model keeps; all if it is not said.
    pub hidden: Option<usize>,
    /// `ffn` is what layers keep on average: those that lose more without their channels keep more of them.
    pub uneven: bool,
    /// How the worth of heads and channels is told.
    pub importance: Importance,
    /// How what stays takes over.
    pub repair: Repair,
}

/// Which layers stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    /// All.
    All,
    /// So many; those go without which the predictions move least.
    ByDivergence(usize),
    /// So many; those go that turn the hidden states least.
    ByInfluence(usize),
    /// These, ascending.
    Listed(Vec<usize>),
}

impl ShapeRequest {
    /// The model with layers of these sizes; which ones stay is not decided yet.
    fn sizes(&self, spec: &ModelSpec) -> ModelSpec {
        let hidden_size = self.hidden.unwrap_or(spec.hidden_size);
        let mut smaller = ModelSpec { hidden_size, ..spec.clone() };
        for layer in &mut smaller.layers {
            if let (Some(heads), Mixer::Attention(attention)) = (self.heads, &mut layer.mixer) {
                attention.kv_heads = heads / (attention.heads / attention.kv_heads);
                attention.heads = heads;
            }
            if let (Some(width), FeedForward::Gated(gated)) = (self.ffn, &mut layer.feed_forward) {
                gated.width = width;
            }
        }
        smaller
    }

    /// Checks that the model has what is to stay, and that stock runtimes load what becomes of it.
    ///
    /// # Errors
    /// If not; the message says what it has.
    pub fn check(&self, spec: &ModelSpec) -> Result<(), ShapeRequestError> {
        let layers = spec.layers.len();
        match &self.layers {
            // the first and the last layer always stay
            &(Layers::ByDivergence(kept) | Layers::ByInfluence(kept))
                if kept > layers || kept < layers.min(2) =>
            {
                return Err(ShapeRequestError::Layers { asked: kept, of: layers });
            }
            Layers::All | Layers::ByDivergence(_) | Layers::ByInfluence(_) => {}
            Layers::Listed(listed) => {
                if listed.is_empty() {
                    return Err(ShapeRequestError::Layers { asked: 0, of: layers });
                }
                if let Some(&layer) = listed.iter().find(|&&layer| layer >= layers) {
                    return Err(ShapeRequestError::NoSuchLayer { layer, of: layers });
                }
            }
        }
        for attention in spec.layers.iter().filter_map(|layer| layer.attention()) {
            let group = attention.heads / attention.kv_heads;
            if let Some(asked) = self.heads
                && (asked == 0 || asked > attention.heads || !asked.is_multiple_of(group))
            {
                return Err(ShapeRequestError::Heads { asked, of: attention.heads, group });
            }
        }
        for gated in spec.layers.iter().filter_map(|layer| layer.gated()) {
            if let Some(asked) = self.ffn.filter(|&asked| asked == 0 || asked > gated.width) {
                return Err(ShapeRequestError::Channels { asked, of: gated.width });
            }
        }
        if let Some(asked) = self.hidden {
            if asked == 0 || asked > spec.hidden_size {
                return Err(ShapeRequestError::Hidden { asked, of: spec.hidden_size });
            }
            if self.importance == Importance::Taylor {
                return Err(ShapeRequestError::HiddenByTaylor);
            }
            if self.repair == Repair::Bias {
                return Err(ShapeRequestError::HiddenByBias);
            }
            if spec.family.table().habits.scaled_embedding && asked < spec.hidden_size {
                return Err(scaled_refused(spec.family.table()));
            }
        }
        if self.uneven && !(self.importance.is_of_predictions() && self.ffn.is_some()) {
            return Err(ShapeRequestError::Uneven { importance: self.importance.name() });
        }
        let table = spec.family.table();
        if self.uneven && spec.uneven_family().is_none() {
            return Err(uneven_refused(spec));
        }
        check_portable(&self.sizes(spec))?;
        if self.repair == Repair::Bias && !table.has_place_for_biases() {
            return Err(ShapeRequestError::NoBiases { family: table.gguf_architecture });
        }
        Ok(())
    }
}
