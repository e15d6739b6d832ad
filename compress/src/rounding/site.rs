//! What the texts have to say about the matrices that read from a site.

use secateur_model::Checkpoint;

use crate::CompressError;
use crate::forward::{ForwardError, Hidden, Site, StagedLayer};
use crate::solve::{Averages, Sums, Wanted, judges};

/// Sums over the inputs of a site, of texts to fit on and of texts to choose on.
///
/// For a site that ends a part of a layer, what goes with the inputs is what its matrix should give: what brings the hidden states of the rounded model
/// to the parent's, `[hidden, width]`. For the others it is the parent's inputs, `[width, width]`.
pub(super) struct SiteSums {
    site: Site,
    parts: Option<[Sums; 2]>,
}

/// The same in averages.
pub(super) struct SiteAverages {
    /// Of texts to fit on.
    pub fitted: Averages,
    /// Of texts to choose on; `None` if there were too few texts.
    pub judging: Option<Averages>,
    /// Of all texts.
    pub all: Averages,
}

impl SiteSums {
    pub fn new(site: Site) -> Self {
        Self { site, parts: None }
    }

    /// Adds a text: what the site reads in the parent and in the rounded model, `[tokens, width]`; and the hidden states of the parent after the
    /// part and of the rounded model before it, in its layer `index`, which count where the site ends a part.
    pub fn add(
        &mut self,
        text: usize,
        (changed, index): (&Checkpoint, usize),
        parent: &StagedLayer,
        (of_parent, of_child): (&[f32], &[f32]),
        (after, before): (&Hidden, &Hidden),
    ) -> Result<(), CompressError> {
        let width = of_child.len() / before.tokens().max(1);
        let ends_part = self.site.ends_part();
        let outputs = if ends_part { before.width() } else { width };
        let parts = self.parts.get_or_insert_with(|| std::array::from_fn(|_| Sums::new(outputs, width)));
        let sums = &mut parts[usize::from(judges(text))];
        let added = if ends_part {
            let wanted = Wanted::of((changed, index), parent, self.site, of_parent, after, before, None)?;
            let (inputs, wanted) = wanted.weighted(of_child);
            sums.add(&inputs, &wanted)
        } else {
            sums.add(of_child, of_parent)
        };
        Ok(added.map_err(ForwardError::from)?)
    }

    /// `None` if there were no texts.
    pub fn averages(self) -> Option<SiteAverages> {
        let [mut sums, judging] = self.parts?;
        let fitted = sums.averages()?;
        sums.merge(&judging);
        Some(SiteAverages { fitted, judging: judging.averages(), all: sums.averages()? })
    }
}
