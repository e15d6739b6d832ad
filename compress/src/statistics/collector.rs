//! What is seen while texts pass one layer.

use std::collections::BTreeMap;

use secateur_model::spec::LayerSpec;

use super::Moments;
use crate::forward::{Site, Taps};

/// Sums over the tokens that pass one layer.
pub(super) struct Collector {
    hidden_size: usize,
    /// What each linear layer reads; those that read the same share a site.
    pub(super) sites: BTreeMap<Site, Moments>,
    /// The chunk before the layer, `[tokens, hidden]`.
    before: Vec<f32>,
    cosines: f64,
    tokens: u64,
    /// The taps have no way to fail on the spot.
    failure: Option<candle_core::Error>,
}

impl Collector {
    pub(super) fn new(layer: &LayerSpec, hidden_size: usize) -> Self {
        let sites = Site::widths(layer, hidden_size);
        Self {
            hidden_size,
            sites: sites.into_iter().map(|(site, width)| (site, Moments::new(width))).collect(),
            before: Vec::new(),
            cosines: 0.0,
            tokens: 0,
            failure: None,
        }
    }

    /// How much the layer turns the hidden states: 1 less the mean cosine between a token's state before and after it.
    ///
    /// Source: "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect", equation 1.
    pub(super) fn block_influence(&self) -> f64 {
        1.0 - self.cosines / self.tokens.max(1) as f64
    }

    /// # Errors
    /// If a product could not be computed.
    pub(super) fn check(&mut self) -> Result<(), candle_core::Error> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Taps for Collector {
    fn input(&mut self, _layer: usize, site: Site, input: &[f32]) {
        if let Some(moments) = self.sites.get_mut(&site)
            && let Err(failure) = moments.add(input)
        {
            self.failure.get_or_insert(failure);
        }
    }

    fn before_layer(&mut self, _layer: usize, hidden: &[f32]) {
        self.before.clear();
        self.before.extend_from_slice(hidden);
    }

    fn after_layer(&mut self, _layer: usize, hidden: &[f32]) {
        let states = self.before.chunks_exact(self.hidden_size).zip(hidden.chunks_exact(self.hidden_size));
        for (before, after) in states {
            self.cosines += cosine(before, after);
            self.tokens += 1;
        }
    }
}

/// The cosine of the angle between two vectors; 1 if one has no direction.
fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let (mut product, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (&x, &y) in left.iter().zip(right) {
        let (x, y) = (f64::from(x), f64::from(y));
        product += x * y;
        left_square += x * x;
        right_square += y * y;
    }
    let lengths = (left_square * right_square).sqrt();
    if lengths > 0.0 { product / lengths } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_of_angles() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 1.0], &[-1.0, -1.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 1.0);
    }
}
