//! In which order the channels of layers should go: what narrower layers of all kinds are cut by.

use secateur_model::Kept;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use serde::{Deserialize, Serialize};

use super::choose::stay;
use super::uneven::{Curve, STEP, widths};

/// A layer loses at most so many times the channels that layers lose on average.
const MOST_TIMES: usize = 3;

/// The most channels that may go from a layer of `width`, where layers are to have `mean` on average: at least [`STEP`] stay.
pub fn most_gone(width: usize, mean: usize) -> usize {
    (MOST_TIMES * width.saturating_sub(mean)).min(width.saturating_sub(STEP))
}

/// Channels of a layer, from the one that should go first; none if the layer has none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOrder {
    /// Channels that the layer has.
    pub width: usize,
    /// Those that may go, in order.
    pub units: Vec<u32>,
    /// For each, what the predictions lose once it and all before it are gone.
    pub losses: Vec<f64>,
}

impl ChannelOrder {
    /// What stays once the first `gone` are gone; nothing is said where all stay.
    fn without(&self, gone: usize) -> Option<Kept> {
        (gone > 0).then(|| stay(self.width, &self.units[..gone]))
    }
}

/// What stays of layers with `mean` channels on average, each fewer by a multiple of `step`.
pub(super) fn uneven(layers: &[ChannelOrder], mean: usize, step: usize) -> Vec<Option<Kept>> {
    let curve = |layer: &ChannelOrder| {
        let steps = layer.losses.iter().take(most_gone(layer.width, mean)).skip(step - 1).step_by(step);
        Curve { width: layer.width, losses: steps.copied().collect() }
    };
    let curves: Vec<Curve> = layers.iter().map(curve).collect();
    let gone = curves.iter().map(|curve| curve.width.saturating_sub(mean)).sum();
    let kept = layers.iter().zip(widths(&curves, gone, step));
    kept.map(|(layer, width)| layer.without(layer.width - width)).collect()
}

/// The orders of all layers of a model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOrders {
    /// What part of a layer's channels they tell at least.
    pub share: f64,
    /// From the first layer to the last.
    pub layers: Vec<ChannelOrder>,
}

impl ChannelOrders {
    /// What part of the channels of layers of `width` has to be in order, so that each can have one of `widths`, and they can have one of `means` on average.
    pub fn share_of(width: usize, widths: &[usize], means: &[usize]) -> f64 {
        let even = widths.iter().map(|&kept| width.saturating_sub(kept));
        let uneven = means.iter().map(|&mean| most_gone(width, mean));
        even.chain(uneven).max().unwrap_or(0) as f64 / width.max(1) as f64
    }

    /// The shape in which each layer has so many channels, or those that it has if they are fewer.
    ///
    /// # Panics
    /// If more would go than are in order.
    pub fn even(&self, width: usize) -> ShapePlan {
        let kept = |layer: &ChannelOrder| layer.without(layer.width.saturating_sub(width));
        self.shape(self.layers.iter().map(kept).collect())
    }

    /// The shape in which layers have so many channels on average, each fewer by a multiple of `step`.
    pub fn uneven(&self, mean: usize, step: usize) -> ShapePlan {
        self.shape(uneven(&self.layers, mean, step))
    }

    fn shape(&self, ffn: Vec<Option<Kept>>) -> ShapePlan {
        let layers = ffn.into_iter().enumerate();
        let layers = layers.map(|(layer, ffn)| KeptLayer { ffn, ..KeptLayer::whole(layer) }).collect();
        ShapePlan { of: self.layers.len(), layers, hidden: None, repair: Repair::Solve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of layers of 512 channels, the last of which go first, at a price each.
    fn orders(prices: &[f64]) -> ChannelOrders {
        let units: Vec<u32> = (0..512).rev().collect();
        let losses = |price: &f64| (1..=512).map(|gone| price * f64::from(gone)).collect();
        let order = |price: &f64| ChannelOrder { width: 512, units: units.clone(), losses: losses(price) };
        ChannelOrders { share: 1.0, layers: prices.iter().map(order).collect() }
    }

    fn widths_of(shape: &ShapePlan) -> Vec<usize> {
        shape.layers.iter().map(|layer| layer.ffn.as_ref().map_or(512, |kept| kept.indices().len())).collect()
    }

    #[test]
    fn layers_of_one_width_and_of_their_own() {
        let orders = orders(&[1.0, 8.0, 2.0, 4.0]);
        assert_eq!(widths_of(&orders.even(384)), [384; 4]);
        assert_eq!(orders.even(384).layers[0].ffn.as_ref().unwrap().indices().last(), Some(&383));
        assert_eq!(orders.even(512).layers[1].ffn, None);
        assert_eq!(widths_of(&orders.uneven(384, STEP)), [128, 512, 384, 512]);
        assert_eq!(widths_of(&orders.uneven(384, 256)), [256, 512, 256, 512]);
    }

    #[test]
    fn what_is_to_be_cut_says_how_much_has_to_be_in_order() {
        assert_eq!(ChannelOrders::share_of(1024, &[768, 512], &[]), 0.5);
        assert_eq!(ChannelOrders::share_of(1024, &[512], &[768]), 0.75);
        assert_eq!(ChannelOrders::share_of(1024, &[], &[512]), (1024 - STEP) as f64 / 1024.0);
        assert_eq!(ChannelOrders::share_of(1024, &[], &[]), 0.0);
    }
}
