//! What both models' inputs of a site come to.

use crate::CompressError;
use crate::forward::ForwardError;
use crate::statistics::{CrossMoments, Moments};

/// Second moments of what the rounded model's layer reads, and, if wanted, how the parent's input goes with it.
pub(super) struct SiteMoments {
    with_cross: bool,
    sums: Option<(Moments, Option<CrossMoments>)>,
    width: usize,
}

impl SiteMoments {
    pub fn new(with_cross: bool) -> Self {
        Self { with_cross, sums: None, width: 0 }
    }

    /// Adds the inputs of a text, both `[tokens, width]`.
    pub fn add(&mut self, parent: &[f32], child: &[f32], tokens: usize) -> Result<(), CompressError> {
        self.width = child.len() / tokens.max(1);
        let width = self.width;
        let (second, cross) = self.sums.get_or_insert_with(|| {
            (Moments::new(width), self.with_cross.then(|| CrossMoments::new(width, width)))
        });
        second.add(child).map_err(ForwardError::from)?;
        if let Some(cross) = cross {
            cross.add(parent, child).map_err(ForwardError::from)?;
        }
        Ok(())
    }

    /// Features of an input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `E[y yᵀ]` of the child's inputs, `[width, width]`.
    pub fn second(&self) -> Vec<f32> {
        self.sums.as_ref().map(|(second, _)| second.averages().second()).unwrap_or_default()
    }

    /// `E[x yᵀ]` of the parent's and the child's inputs, `[width, width]`.
    pub fn cross(&self) -> Option<Vec<f32>> {
        Some(self.sums.as_ref()?.1.as_ref()?.mean())
    }
}
