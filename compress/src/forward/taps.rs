//! Looking at the numbers as they pass: what calibration statistics are made of.

use secateur_model::Role;

/// An input that one or several linear layers of a decoder layer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// `[tokens, hidden]`: read by the query, key and value projections
    AttentionInput,
    /// `[tokens, heads * head]`: read by the attention's output projection
    AttentionOutput,
    /// `[tokens, hidden]`: read by the gate and up projections
    FfnInput,
    /// `[tokens, width]`: read by the down projection
    FfnDown,
}

impl Site {
    /// The matrices of a layer that read this input, in the order in which they are stacked.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::AttentionInput => &[Role::AttentionQuery, Role::AttentionKey, Role::AttentionValue],
            Self::AttentionOutput => &[Role::AttentionOutput],
            Self::FfnInput => &[Role::FfnGate, Role::FfnUp],
            Self::FfnDown => &[Role::FfnDown],
        }
    }

    /// What a matrix of a layer reads; `None` for everything else.
    pub fn of(role: Role) -> Option<Self> {
        match role {
            Role::AttentionQuery | Role::AttentionKey | Role::AttentionValue => Some(Self::AttentionInput),
            Role::AttentionOutput => Some(Self::AttentionOutput),
            Role::FfnGate | Role::FfnUp => Some(Self::FfnInput),
            Role::FfnDown => Some(Self::FfnDown),
            _ => None,
        }
    }
}

/// Sees what passes. Texts come one after the other within a layer, each in chunks of up to 512 tokens.
pub trait Taps {
    /// `input` is `[tokens, in_features]`, as the linear layers of `site` read it.
    fn input(&mut self, _layer: usize, _site: Site, _input: &[f32]) {}
    /// `hidden` is `[tokens, hidden]`, before a layer.
    fn before_layer(&mut self, _layer: usize, _hidden: &[f32]) {}
    /// `hidden` is `[tokens, hidden]`, after a layer.
    fn after_layer(&mut self, _layer: usize, _hidden: &[f32]) {}
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTaps;

impl Taps for NoTaps {}
