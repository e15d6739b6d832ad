//! What comes back through one layer.

use std::collections::BTreeMap;

use candle_core::Result;
use rayon::prelude::*;
use secateur_model::Role;

use crate::forward::Site;
use crate::statistics::{InputMoments, Moments};

/// How much the predictions depend on what the matrices of a layer give out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerFactors {
    /// `E[g²]`, `[out_features]`
    diagonals: BTreeMap<Role, Vec<f32>>,
    inputs: BTreeMap<Site, InputMoments>,
}

impl LayerFactors {
    /// `E[g²]`, `[out_features]`, of a matrix.
    pub fn diagonal(&self, role: Role) -> Option<&[f32]> {
        self.diagonals.get(&role).map(Vec::as_slice)
    }

    /// What the matrices of a site read, each token weighted by the squared gradient at what they give out: `E[|g|² x xᵀ] / E[|g|²]`. A few
    /// tokens have inputs so large that they rule the plain moments, and hardly any gradient.
    pub fn weighted_inputs(&self, site: Site) -> Option<&InputMoments> {
        self.inputs.get(&site)
    }
}

/// Sums while texts come back.
#[derive(Debug, Default)]
pub(super) struct LayerSums {
    tokens: BTreeMap<Role, u64>,
    squares: BTreeMap<Role, Vec<f64>>,
    /// Of each site the sum of all weights, and the weighted moments.
    inputs: BTreeMap<Site, (f64, Moments)>,
}

impl LayerSums {
    /// Adds the gradient at what a matrix gives out, `[tokens, out_features]`, and what it reads, `[tokens, in_features]`. The sums do not
    /// depend on the number of threads.
    pub fn add(
        &mut self,
        role: Role,
        site: Site,
        gradient: &[f32],
        input: &[f32],
        tokens: usize,
    ) -> Result<()> {
        let (features, width) = (gradient.len() / tokens, input.len() / tokens);
        let squares = self.squares.entry(role).or_insert_with(|| vec![0.0; features]);
        let mut weights = Vec::with_capacity(tokens);
        for row in gradient.chunks_exact(features) {
            let mut weight = 0.0;
            for (sum, &gradient) in squares.iter_mut().zip(row) {
                let square = f64::from(gradient) * f64::from(gradient);
                *sum += square;
                weight += square;
            }
            weights.push(weight);
        }
        *self.tokens.entry(role).or_default() += tokens as u64;
        let mut weighted = input.to_vec();
        weighted.par_chunks_exact_mut(width).zip(&weights).for_each(|(row, weight)| {
            let factor = weight.sqrt() as f32;
            row.iter_mut().for_each(|value| *value *= factor);
        });
        let (total, moments) = self.inputs.entry(site).or_insert_with(|| (0.0, Moments::new(width)));
        *total += weights.iter().sum::<f64>();
        moments.add(&weighted)
    }

    /// The averages.
    pub fn finish(self) -> LayerFactors {
        let Self { tokens, squares, inputs } = self;
        let diagonal = |(role, sums): (Role, Vec<f64>)| {
            let tokens = tokens.get(&role).copied().unwrap_or(1).max(1) as f64;
            (role, sums.into_iter().map(|sum| (sum / tokens) as f32).collect())
        };
        let average = |(site, (total, moments)): (Site, (f64, Moments))| (site, moments.averages_over(total));
        LayerFactors {
            diagonals: squares.into_iter().map(diagonal).collect(),
            inputs: inputs.into_iter().map(average).collect(),
        }
    }
}
