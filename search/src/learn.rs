//! From measurements to a correction.

use crate::correction::{Lesson, Shares};
use crate::{Correction, Genome, Measured, Search, Surrogate};

impl<S: Surrogate> Search<'_, S> {
    /// What plans with their values, the champion among them, teach about predictions.
    pub(crate) fn learn(&self, all: &[(&Genome, &[f64])], champion: &Genome) -> Correction {
        Correction::learn(self.space, &self.shares(champion), &self.lessons(all, champion))
    }

    /// Plans on fewer chunks than the champion are compared with it on those, and so brought to the level of all.
    fn lessons(&self, all: &[(&Genome, &[f64])], champion: &Genome) -> Vec<Lesson> {
        let whole =
            all.iter().find(|(plan, _)| *plan == champion).map_or(&[] as &[f64], |(_, values)| values);
        let lesson = |plan: &Genome, values: &[f64]| {
            let measured = Measured::of(values)?;
            let level =
                Measured::of(whole)?.mean / Measured::of(&whole[..values.len().min(whole.len())])?.mean;
            let ratios: Vec<f64> =
                values.iter().zip(whole).map(|(value, of_champion)| value / of_champion).collect();
            let spread = Measured::of(&ratios)?;
            // one chunk says nothing of the spread; most plans differ by less than a fifth from chunk to chunk
            let relative = if spread.chunks == 1 { 0.2 } else { spread.error / spread.mean };
            let measured = measured.mean * level;
            let error = measured * relative;
            Some(Lesson {
                genome: plan.clone(),
                predicted: self.surrogate.predict(plan).damage,
                measured,
                error,
            })
        };
        all.iter().filter_map(|(plan, values)| lesson(plan, values)).collect()
    }

    /// What each unit adds to the prediction, seen from a plan; nothing for units that are silent there.
    fn shares(&self, reference: &Genome) -> Shares {
        let nothing = Correction::default();
        let position = self.problem(&nothing).at(reference.clone());
        let of_unit = |unit: usize| {
            let mut damages = vec![position.prediction.damage; self.space.units()[unit].levels];
            for (unit, level) in position.changes(&[unit]) {
                damages[level] = position.after(unit, level).damage;
            }
            let least = damages.iter().copied().fold(f64::INFINITY, f64::min);
            damages.into_iter().map(|damage| damage - least).collect()
        };
        (0..self.space.len()).map(of_unit).collect()
    }
}
