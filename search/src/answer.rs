//! What a study already knows: another budget is answered without another measurement.

use crate::{
    Candidate, Correction, Exploration, Genome, Measured, Outcome, Search, SearchError, Stopped, Study,
    Surrogate,
};

/// What a study says of budgets that it may not have been made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The best plan within the budgets among those that were measured: those on the most chunks first.
    pub measured: Option<Candidate>,
    /// What predictions say, corrected by all that the study holds.
    pub predicted: Exploration,
    /// The correction.
    pub corrections: Correction,
}

impl Answered {
    /// As the outcome of a search that measured nothing: the measured plan is chosen, unless more is expected of another. `evaluations` are those that
    /// the study holds.
    pub fn outcome(self, evaluations: f64) -> Outcome {
        let Exploration { best, front, takeover, .. } = self.predicted;
        let loses = |plan: &Candidate| plan.measured.map_or(plan.expected, |measured| measured.mean);
        let measured = self.measured.filter(|measured| loses(measured) <= best.expected);
        Outcome {
            chosen: measured.unwrap_or(best),
            front,
            history: Vec::new(),
            corrections: self.corrections,
            takeover,
            evaluations,
            stopped: Stopped::Answered,
        }
    }
}

impl<S: Surrogate> Search<'_, S> {
    /// Answers from a study alone.
    ///
    /// # Errors
    /// Nothing fits the budgets.
    pub fn answer(&self, study: &Study) -> Result<Answered, SearchError> {
        let all = study.all();
        let champion = most_trusted(&all);
        let corrections = champion.map(|champion| self.learn(&all, champion)).unwrap_or_default();
        let predicted = self.explore_with(&corrections)?;
        let fits = |plan: &Genome| self.budgets.fit(&self.surrogate.predict(plan).costs);
        let within: Vec<(&Genome, &[f64])> = all.into_iter().filter(|(plan, _)| fits(plan)).collect();
        let measured = most_trusted(&within).map(|plan| Candidate {
            measured: Measured::of(study.values(plan)),
            ..self.candidate(plan, &corrections)
        });
        Ok(Answered { measured, predicted, corrections })
    }
}

/// The plan with the least mean among those measured on the most chunks.
fn most_trusted<'g>(all: &[(&'g Genome, &[f64])]) -> Option<&'g Genome> {
    let most = all.iter().map(|(_, values)| values.len()).max()?;
    let trusted = all.iter().filter(|(_, values)| values.len() == most);
    let mean = |values: &[f64]| values.iter().sum::<f64>();
    trusted.min_by(|a, b| mean(a.1).total_cmp(&mean(b.1))).map(|(plan, _)| *plan)
}
