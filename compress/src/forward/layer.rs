//! One decoder layer.

use candle_core::Result;

use super::attention::{Attention, KeysAndValues};
use super::feed_forward::GatedFeedForward;
use super::rope::RopeTable;
use super::taps::Taps;

/// The weights of one decoder layer; a part that was removed is `None`.
#[derive(Debug)]
pub(crate) struct Layer {
    pub index: usize,
    pub attention: Option<Attention>,
    pub feed_forward: Option<GatedFeedForward>,
}

impl Layer {
    /// Takes the next tokens of one text, or the next one of several, `[texts, tokens, hidden]`, through the layer.
    pub fn run(
        &self,
        hidden: &mut [f32],
        memories: &mut [&mut KeysAndValues],
        rope: Option<&RopeTable>,
        taps: &mut dyn Taps,
    ) -> Result<()> {
        if let (Some(attention), Some(rope)) = (&self.attention, rope) {
            attention.run(hidden, memories, rope, |site, input| taps.input(self.index, site, input))?;
        }
        if let Some(feed_forward) = &self.feed_forward {
            feed_forward.run(hidden, |site, input| taps.input(self.index, site, input))?;
        }
        Ok(())
    }
}
