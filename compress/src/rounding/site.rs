//! What the texts have to say about the matrices that read from a site.

use secateur_model::Checkpoint;

use crate::CompressError;
use crate::forward::{ForwardError, Hidden, Site, StagedLayer};
use crate::solve::{Averages, Sums, Wanted, judges};

/// Sums over the inputs of a site, of texts to fit on and of texts to choose on.
///
/// For a site that ends a part of a layer, what goes with the inputs is what its matrix should give: what brings the hidden states of the rounded model
/// to the parent's, `[hidden, width]`. For the others it is the parent's inputs, `[width, width]`.
#[derive(Default)]
pub(super) struct SiteSums {
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

/// What one text has to say.
pub(super) struct Said {
    tokens: usize,
    /// `[tokens, width]`
    inputs: Vec<f32>,
    /// What goes with them, `[tokens, hidden or width]`.
    wanted: Vec<f32>,
}

impl Said {
    /// What a site reads in the parent and in the rounded model, `[tokens, width]`; and the hidden states of the parent after the part and of the
    /// rounded model before it, in its layer `index`, which count where the site ends a part.
    ///
    /// # Errors
    /// If something cannot be read, or there is no memory for a product.
    pub fn of(
        site: Site,
        (changed, index): (&Checkpoint, usize),
        parent: &StagedLayer,
        (of_parent, of_child): (&[f32], &[f32]),
        (after, before): (&Hidden, &Hidden),
    ) -> Result<Self, CompressError> {
        let (inputs, wanted) = if site.ends_part() {
            let wanted = Wanted::of((changed, index), parent, site, of_parent, after, before, None)?;
            wanted.weighted(of_child)
        } else {
            (of_child.to_vec(), of_parent.to_vec())
        };
        Ok(Self { tokens: before.tokens(), inputs, wanted })
    }
}

impl SiteSums {
    /// Adds what a text has said.
    ///
    /// # Errors
    /// If there is no memory for a product.
    pub fn add(&mut self, text: usize, said: &Said) -> Result<(), ForwardError> {
        let Said { tokens, inputs, wanted } = said;
        if *tokens == 0 {
            return Ok(());
        }
        let (outputs, width) = (wanted.len() / tokens, inputs.len() / tokens);
        let parts = self.parts.get_or_insert_with(|| std::array::from_fn(|_| Sums::new(outputs, width)));
        Ok(parts[usize::from(judges(text))].add(inputs, wanted)?)
    }

    /// `None` if there were no texts.
    pub fn averages(self) -> Option<SiteAverages> {
        let [mut sums, judging] = self.parts?;
        let fitted = sums.averages()?;
        sums.merge(&judging);
        Some(SiteAverages { fitted, judging: judging.averages(), all: sums.averages()? })
    }
}
