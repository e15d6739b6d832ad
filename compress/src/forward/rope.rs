//! Rotary position embedding: the first half of a head is rotated against its second half, Hugging Face's order.

use secateur_model::rope_factors;
use secateur_model::spec::{LayerSpec, ModelSpec, RopeScaling, RopeSpec};

use super::ForwardError;

/// Cosines and sines of every position, for each way of rotating that the model has.
#[derive(Debug)]
pub(crate) struct RopeTables {
    tables: Vec<RopeTable>,
    /// Which table a layer uses; `None` for one without attention.
    of_layer: Vec<Option<usize>>,
}

/// Cosines and sines, `[positions, head / 2]` each.
#[derive(Debug)]
pub(crate) struct RopeTable {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RopeTables {
    /// Tables for texts of up to `positions` tokens.
    pub fn new(spec: &ModelSpec, positions: usize) -> Result<Self, ForwardError> {
        let mut kinds: Vec<(&RopeSpec, usize)> = Vec::new();
        let mut of_layer = Vec::with_capacity(spec.layers.len());
        for attention in spec.layers.iter().map(LayerSpec::attention) {
            of_layer.push(attention.map(|attention| {
                let kind = (&attention.rope, attention.head_size);
                kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
                    kinds.push(kind);
                    kinds.len() - 1
                })
            }));
        }
        let tables = kinds.into_iter().map(|(rope, head_size)| RopeTable::new(rope, head_size, positions));
        let tables = tables.collect::<Option<Vec<_>>>();
        match tables {
            Some(tables) => Ok(Self { tables, of_layer }),
            None => Err(ForwardError::Unsupported { layer: 0, part: "rotary scaling" }),
        }
    }

    /// The table of a layer, if it rotates anything.
    pub fn of_layer(&self, layer: usize) -> Option<&RopeTable> {
        self.of_layer[layer].map(|table| &self.tables[table])
    }
}

impl RopeTable {
    fn new(rope: &RopeSpec, head_size: usize, positions: usize) -> Option<Self> {
        let half = head_size / 2;
        let divisors = match &rope.scaling {
            RopeScaling::None => vec![1.0; half],
            RopeScaling::Linear { factor } => vec![*factor; half],
            RopeScaling::Llama3 { .. } | RopeScaling::Factors(_) => rope_factors(rope, head_size)?,
            _ => return None,
        };
        // frequencies and angles in `f32`, as transformers has them: the model was trained on these angles
        let frequencies: Vec<f32> = divisors
            .iter()
            .enumerate()
            .map(|(pair, divisor)| 1.0 / rope.theta.powf(2.0 * pair as f32 / head_size as f32) / divisor)
            .collect();
        let angles = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
        let (sines, cosines) = angles.map(f32::sin_cos).unzip();
        Some(Self { half, cosines, sines })
    }

    /// Rotates one head, `[head]`, to a position.
    pub fn rotate(&self, head: &mut [f32], position: usize) {
        let cosines = &self.cosines[position * self.half..][..self.half];
        let sines = &self.sines[position * self.half..][..self.half];
        let (first, second) = head.split_at_mut(self.half);
        for (((x, y), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }

    /// Undoes [`rotate`](Self::rotate); also takes a gradient from after it to before it.
    pub fn rotate_back(&self, head: &mut [f32], position: usize) {
        let cosines = &self.cosines[position * self.half..][..self.half];
        let sines = &self.sines[position * self.half..][..self.half];
        let (first, second) = head.split_at_mut(self.half);
        for (((x, y), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine + *y * sine, *y * cosine - *x * sine);
        }
    }
}
