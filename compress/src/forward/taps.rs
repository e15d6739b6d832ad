//! Looking at the numbers as they pass: what calibration statistics are made of.

use secateur_model::Role;
use secateur_model::spec::LayerSpec;

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

    /// Whether what its matrix gives is added to the hidden states.
    pub fn ends_part(self) -> bool {
        matches!(self, Self::AttentionOutput | Self::FfnDown)
    }

    /// Every site, in the order of the pass.
    pub const ALL: [Self; 4] = [Self::AttentionInput, Self::AttentionOutput, Self::FfnInput, Self::FfnDown];

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

    /// The inputs that a layer has, with their widths.
    pub fn widths(layer: &LayerSpec, hidden_size: usize) -> Vec<(Self, usize)> {
        let mut widths = Vec::new();
        if let Some(attention) = layer.attention() {
            widths.push((Self::AttentionInput, hidden_size));
            widths.push((Self::AttentionOutput, attention.heads * attention.head_size));
        }
        if let Some(gated) = layer.gated() {
            widths.push((Self::FfnInput, hidden_size));
            widths.push((Self::FfnDown, gated.width));
        }
        widths
    }

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttentionInput => "attention_input",
            Self::AttentionOutput => "attention_output",
            Self::FfnInput => "ffn_input",
            Self::FfnDown => "ffn_down",
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

/// Keeps what passes of one text, for taps that see texts one after the other while they pass side by side.
#[derive(Debug, Default)]
pub(super) struct Recording(Vec<Event>);

#[derive(Debug)]
enum Event {
    Input(usize, Site, Vec<f32>),
    Before(usize, Vec<f32>),
    After(usize, Vec<f32>),
}

impl Recording {
    /// Shows all of it, in its order.
    pub fn play(&self, taps: &mut dyn Taps) {
        for event in &self.0 {
            match event {
                Event::Input(layer, site, input) => taps.input(*layer, *site, input),
                Event::Before(layer, hidden) => taps.before_layer(*layer, hidden),
                Event::After(layer, hidden) => taps.after_layer(*layer, hidden),
            }
        }
    }
}

impl Taps for Recording {
    fn input(&mut self, layer: usize, site: Site, input: &[f32]) {
        self.0.push(Event::Input(layer, site, input.to_vec()));
    }

    fn before_layer(&mut self, layer: usize, hidden: &[f32]) {
        self.0.push(Event::Before(layer, hidden.to_vec()));
    }

    fn after_layer(&mut self, layer: usize, hidden: &[f32]) {
        self.0.push(Event::After(layer, hidden.to_vec()));
    }
}
