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
pub(crate) struct GatedFeedForward {
    pub norm: RmsNorm,
    /// Gate over up: `[2 * width, hidden]`
    pub gate_up: Linear,
    /// `[hidden, width]`
    pub down: Linear,
    pub post_norm: Option<RmsNorm>,
    pub width: usize,
    pub gating: Gating,
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
    pub fn activated(&self, gate_up: &[f32]) -> Vec<f32> {
        let mut channels = vec![0.0; gate_up.len() / 2];
        let rows = channels.par_chunks_mut(self.width).zip(gate_up.par_chunks(2 * self.width));
        rows.for_each(|(channels, gate_up)| {
            let (gate, up) = gate_up.split_at(self.width);
            (self.gating.apply)(channels, gate, up);
        });
        channels
    }
}

/// An activation that gates, and how gradients come back through it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gating {
    /// Writes `activation(gate) * up` into its first argument; gate and up are the others, all `[width]`.
    pub apply: fn(&mut [f32], &[f32], &[f32]),
    /// Turns gate beside up, `[2 * width]`, into their gradients; the second argument is the gradient at the channels, `[width]`.
    pub back: fn(&mut [f32], &[f32]),
}

impl Gating {
    /// The functions of an activation; `None` for one that is not known here.
    pub fn of(activation: Activation) -> Option<Self> {
        match activation {
            Activation::Silu => Some(Self {
                apply: |channels, gate, up| apply(channels, gate, up, |x| silu(x).0),
                back: |gate_up, gradient| back(gate_up, gradient, silu),
            }),
            Activation::GeluTanh => Some(Self {
                apply: |channels, gate, up| apply(channels, gate, up, |x| gelu_tanh(x).0),
                back: |gate_up, gradient| back(gate_up, gradient, gelu_tanh),
            }),
            _ => None,
        }
    }
}

fn apply(channels: &mut [f32], gate: &[f32], up: &[f32], activation: impl Fn(f32) -> f32) {
    for ((channel, gate), up) in channels.iter_mut().zip(gate).zip(up) {
        *channel = activation(*gate) * up;
    }
}

/// `activation` gives its value and its derivative.
fn back(gate_up: &mut [f32], gradient: &[f32], activation: impl Fn(f32) -> (f32, f32)) {
    let (gate, up) = gate_up.split_at_mut(gradient.len());
    for ((gate, up), gradient) in gate.iter_mut().zip(up).zip(gradient) {
        let (value, slope) = activation(*gate);
        (*gate, *up) = (gradient * *up * slope, gradient * value);
    }
}

/// `x * sigmoid(x)`, and its derivative.
#[inline]
fn silu(x: f32) -> (f32, f32) {
    let share = sigmoid(x);
    (x * share, share + x * share * (1.0 - share))
}

/// `x / 2 * (1 + tanh(sqrt(2 / π) * (x + 0.044715 x³)))`, with `(1 + tanh(z)) / 2 = sigmoid(2z)`, and its derivative.
///
/// Source: "Gaussian Error Linear Units".
#[inline]
fn gelu_tanh(x: f32) -> (f32, f32) {
    const TWICE_ROOT_OF_TWO_OVER_PI: f32 = 1.595_769_1;
    let share = sigmoid(TWICE_ROOT_OF_TWO_OVER_PI * (x + 0.044_715 * x * x * x));
    let slope_inside = TWICE_ROOT_OF_TWO_OVER_PI * (1.0 + 3.0 * 0.044_715 * x * x);
    (x * share, share + x * share * (1.0 - share) * slope_inside)
}
