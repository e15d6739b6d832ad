//! What the texts have to say about the matrices that read from a site.

use secateur_model::Checkpoint;

use crate::CompressError;
use crate::forward::{ForwardError, Hidden, Site, StagedLayer};
use crate::solve::{HELD_OUT_STEP, Sums, Wanted};

/// Sums over the inputs of a site, of texts to fit on and of texts to choose on.
///
/// For a site that ends a part of a layer, what goes with the inputs is what its matrix should give: what brings the hidden states of the rounded model
/// to the parent's, `[hidden, width]`. For the others it is the parent's inputs, `[width, width]`.
pub(super) struct SiteSums {
    site: Site,
    parts: Option<[Sums; 2]>,
}

impl SiteSums {
    pub fn new(site: Site) -> Self {
        Self { site, parts: None }
    }

    /// Whether the site ends a part of a layer.
    pub fn ends_part(&self) -> bool {
        matches!(self.site, Site::AttentionOutput | Site::FfnDown)
    }

    /// Adds a text: what the site reads in the parent and in the rounded model, `[tokens, width]`; and the hidden states of the parent after the
    /// part and of the rounded model before it, which count where the site ends a part.
    pub fn add(
        &mut self,
        text: usize,
        (checkpoint, parent): (&Checkpoint, &StagedLayer),
        (of_parent, of_child): (&[f32], &[f32]),
        (after, before): (&Hidden, &Hidden),
    ) -> Result<(), CompressError> {
        let width = of_child.len() / before.tokens().max(1);
        let judges = usize::from(text % HELD_OUT_STEP == HELD_OUT_STEP - 1);
        let outputs = if self.ends_part() { checkpoint.spec.hidden_size } else { width };
        let parts = self.parts.get_or_insert_with(|| std::array::from_fn(|_| Sums::new(outputs, width)));
        let added = if matches!(self.site, Site::AttentionOutput | Site::FfnDown) {
            let wanted = Wanted::of(checkpoint, parent, self.site, of_parent.to_vec(), after, before)?;
            let (inputs, wanted) = wanted.weighted(of_child);
            parts[judges].add(&inputs, &wanted)
        } else {
            parts[judges].add(of_child, of_parent)
        };
        Ok(added.map_err(ForwardError::from)?)
    }

    /// Sums to fit on, and to choose on; none of the latter if there were too few texts.
    pub fn parts(&self) -> Option<(&Sums, Option<&Sums>)> {
        let [fitted, judging] = self.parts.as_ref()?;
        Some((fitted, (!judging.is_empty()).then_some(judging)))
    }

    /// Sums of all texts.
    pub fn all(&self) -> Option<Sums> {
        let [fitted, judging] = self.parts.as_ref()?;
        let mut all = fitted.clone();
        all.merge(judging);
        Some(all)
    }
}
