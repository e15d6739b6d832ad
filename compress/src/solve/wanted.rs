//! What an output projection of a changed model should give.

use std::borrow::Cow;

use secateur_model::{Checkpoint, Role, TensorId};

use crate::CompressError;
use crate::forward::{Hidden, Site, StagedLayer};

/// Wanted outputs of the projection that ends a part of a layer, and what each token counts.
pub struct Wanted {
    /// `[tokens, hidden]`
    values: Vec<f32>,
    /// The share of a token's errors once the next norm has divided by the size of its hidden state, `[tokens]`.
    weights: Vec<f32>,
}

impl Wanted {
    /// What brings the hidden states of the changed model, `before` the part of its layer `index`, to those of the parent, `after` it; the changed model may
    /// have `kept` some of its dimensions only. Where a norm comes between, that cannot be solved for, and it is what the parent's projection makes of
    /// `read_by_parent`.
    ///
    /// # Errors
    /// If something cannot be read, or there is no memory for a product.
    pub fn of(
        (changed, index): (&Checkpoint, usize),
        parent: &StagedLayer,
        site: Site,
        read_by_parent: &[f32],
        after: &Hidden,
        before: &Hidden,
        kept: Option<&[u32]>,
    ) -> Result<Self, CompressError> {
        let spec = &changed.spec;
        let width = before.width();
        let in_kept = |values| columns(values, after.width(), kept);
        let after_in_kept = in_kept(Cow::Borrowed(after.values()));
        let (mut values, weights) = if spec.layers[index].post_norms {
            let values = in_kept(parent.output(site, read_by_parent.to_vec())?.into()).into_owned();
            // its own norm divides by the size of the output, the next one by that of the hidden state
            let own = token_weights(&values, width);
            let next = token_weights(&after_in_kept, width);
            let weights = own.iter().zip(next).map(|(own, next)| own * next).collect();
            (values, weights)
        } else {
            let pairs = after_in_kept.iter().zip(before.values());
            let values = pairs.map(|(after, before)| after - before).collect();
            (values, token_weights(&after_in_kept, width))
        };
        // a bias stays, and gives its part
        let role = if site == Site::FfnDown { Role::FfnDownBias } else { Role::AttentionOutputBias };
        let bias = TensorId::in_layer(index, role);
        if spec.shape(bias).is_some() {
            let bias = changed.tensor(bias)?.read_all()?;
            for row in values.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias.iter()).for_each(|(value, bias)| *value -= bias);
            }
        }
        Ok(Self { values, weights })
    }

    /// Each token times its weight: `inputs`, `[tokens, width]`, and what is wanted, `[tokens, hidden]`.
    pub fn weighted(&self, inputs: &[f32]) -> (Vec<f32>, Vec<f32>) {
        (scaled(inputs, &self.weights), scaled(&self.values, &self.weights))
    }
}

/// Some columns of rows of `width` numbers, or all.
pub fn columns<'a>(values: Cow<'a, [f32]>, width: usize, kept: Option<&[u32]>) -> Cow<'a, [f32]> {
    let Some(kept) = kept else { return values };
    let rows = values.chunks_exact(width);
    rows.flat_map(|row| kept.iter().map(|&column| row[column as usize])).collect()
}

fn token_weights(scale: &[f32], hidden_size: usize) -> Vec<f32> {
    let size = |row: &[f32]| (row.iter().map(|value| value * value).sum::<f32>() / hidden_size as f32).sqrt();
    scale.chunks_exact(hidden_size).map(|row| 1.0 / size(row).max(f32::MIN_POSITIVE)).collect()
}

fn scaled(values: &[f32], weights: &[f32]) -> Vec<f32> {
    let width = values.len() / weights.len().max(1);
    let rows = values.chunks_exact(width.max(1)).zip(weights);
    rows.flat_map(|(row, weight)| row.iter().map(move |value| value * weight)).collect()
}
