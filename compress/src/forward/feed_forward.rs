//! The part of a layer that works on each position alone.

use candle_core::Result;
use rayon::prelude::*;
use secateur_model::spec::Activation;

use super::exponential::sigmoid;
use super::linear::{Linear, with_values};
use super::norm::{RmsNorm, add_to_residual};
use super::taps::Site;

/// `hidden + post_norm(down(activation(gate(x)) * up(x)))` with `x = norm(hidden)`.
#[derive(Debug)]
pub(super) struct GatedFeedForward {
    pub norm: RmsNorm,
    /// Gate over up: `[2 * width, hidden]`
    pub gate_up: Linear,
    /// `[hidden, width]`
    pub down: Linear,
    pub post_norm: Option<RmsNorm>,
    pub width: usize,
    /// The activation as a function.
    pub activate: fn(&mut [f32], &[f32], &[f32]),
}

impl GatedFeedForward {
    /// Adds to the residual, `[tokens, hidden]`.
    pub fn run(&self, hidden: &mut [f32], mut tap: impl FnMut(Site, &[f32])) -> Result<()> {
        let input = self.norm.apply(hidden);
        tap(Site::FfnInput, &input);
        let channels = self.channels(input)?;
        tap(Site::FfnDown, &channels);
        self.add_output(hidden, channels)
    }

    /// What the down projection reads, `[tokens, width]`, from the normed input, `[tokens, hidden]`.
    pub fn channels(&self, input: Vec<f32>) -> Result<Vec<f32>> {
        let gate_up = self.gate_up.apply(input)?;
        with_values(&gate_up, |gate_up| self.activated(gate_up))
    }

    /// Adds what the down projection makes of `channels`, `[tokens, width]`, to the residual, `[tokens, hidden]`.
    pub fn add_output(&self, hidden: &mut [f32], channels: Vec<f32>) -> Result<()> {
        let update = self.down.apply(channels)?;
        with_values(&update, |update| add_to_residual(hidden, update, self.post_norm.as_ref()))
    }

    /// From `[tokens, 2 * width]`, gate beside up, to `[tokens, width]`.
    fn activated(&self, gate_up: &[f32]) -> Vec<f32> {
        let mut channels = vec![0.0; gate_up.len() / 2];
        let rows = channels.par_chunks_mut(self.width).zip(gate_up.par_chunks(2 * self.width));
        rows.for_each(|(channels, gate_up)| {
            let (gate, up) = gate_up.split_at(self.width);
            (self.activate)(channels, gate, up);
        });
        channels
    }
}

/// Writes `activation(gate) * up` into its first argument; all of the same length.
pub(super) type Gating = fn(&mut [f32], &[f32], &[f32]);

/// The function of an activation: `channels = activation(gate) * up`, all `[width]`; `None` for one that is not known here.
pub(super) fn activation_function(activation: Activation) -> Option<Gating> {
    match activation {
        Activation::Silu => Some(|channels, gate, up| gated(channels, gate, up, |x| x * sigmoid(x))),
        Activation::GeluTanh => Some(|channels, gate, up| gated(channels, gate, up, gelu_tanh)),
        _ => None,
    }
}

fn gated(channels: &mut [f32], gate: &[f32], up: &[f32], activation: impl Fn(f32) -> f32) {
    for ((channel, gate), up) in channels.iter_mut().zip(gate).zip(up) {
        *channel = activation(*gate) * up;
    }
}

/// `x / 2 * (1 + tanh(sqrt(2 / π) * (x + 0.044715 x³)))`, with `(1 + tanh(z)) / 2 = sigmoid(2z)`.
///
/// Source: "Gaussian Error Linear Units".
fn gelu_tanh(x: f32) -> f32 {
    const TWICE_ROOT_OF_TWO_OVER_PI: f32 = 1.595_769_1;
    x * sigmoid(TWICE_ROOT_OF_TWO_OVER_PI * (x + 0.044_715 * x * x * x))
}
