//! A search with measurements: predict, measure the few best, learn, predict again.

use std::collections::HashSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::correction::Correction;
use crate::evaluate::{Evaluate, Progress, Report};
use crate::front::undominated;
use crate::islands::Islands;
use crate::moves::vary;
use crate::probes;
use crate::problem::Problem;
use crate::race::{Race, race};
use crate::selection::{Aim, objectives};
use crate::session::{Answer, Session};
use crate::{Candidate, Genome, Outcome, Search, SearchError, Step, Stopped, Study, Surrogate};

/// One plan is measured to learn from for so many that may win.
const PROBES: usize = 4;
/// Children of the best plan of which the better predicted are measured, for each that is.
const LITTER: usize = 8;
/// Plans that are measured in one round differ in more than one unit of so many: what is nearer loses the same within what chunks scatter.
const APART: usize = 10;

impl<S: Surrogate> Search<'_, S> {
    /// Searches with measurements until the limit, or until rounds bring nothing better. Each round the islands evolve on corrected predictions,
    /// then the best predicted plans and children of the best measured plan are raced, and what was measured corrects the predictions.
    ///
    /// Asked again with the same study, it finds its answers there and goes on from where it was.
    ///
    /// # Errors
    /// Nothing fits the budgets, plans cannot be measured, or the study cannot be written.
    pub fn run<E: Evaluate>(
        &self,
        evaluator: &E,
        study: &mut Study,
        progress: &dyn Progress,
    ) -> Result<Outcome, SearchError> {
        let mut session = Session::new(evaluator, progress, study, self.limit);
        let mut correction = Correction::default();
        let mut champion: Option<Genome> = None;
        let mut history: Vec<Step> = Vec::new();
        let mut generator = SmallRng::seed_from_u64(self.settings.seed);
        let seeds = self.seeds(self.problem(&correction))?;
        let mut islands = Islands::settle(self.problem(&correction), &self.settings, &seeds);
        let mut stale = 0;
        let stopped = loop {
            let problem = self.problem(&correction);
            // once settled, populations follow what is learned in small steps
            let epochs = if champion.is_none() { self.settings.epochs } else { 1 };
            (0..epochs).for_each(|_| islands.advance(problem));
            let contenders = self.contenders(problem, &session, &islands, champion.as_ref(), &mut generator);
            if contenders.is_empty() {
                break Stopped::Settled;
            }
            if session.chunks_left() == 0 {
                break Stopped::Limit;
            }
            let winner = match race(&mut session, champion.as_ref(), contenders, &self.settings.rungs)? {
                Race::Won(winner) => winner,
                Race::Limit => break Stopped::Limit,
                Race::Interrupted => break Stopped::Interrupted,
            };
            let expected = problem.predict(&winner).damage;
            stale = if champion.as_ref() == Some(&winner) { stale + 1 } else { 0 };
            if self.probe(&mut session, problem, &winner, history.is_empty(), &mut generator)?
                == Answer::Interrupted
            {
                champion = Some(winner);
                break Stopped::Interrupted;
            }
            correction = self.learn(&session.all(), &winner);
            islands.welcome(&winner);
            if let Some(best) = session.measured(&winner) {
                let (evaluations, seconds) = (session.evaluations(), session.seconds());
                history.push(Step { evaluations, seconds, best, expected });
                progress.report(&self.report(&session, &islands, &history, &correction));
            }
            champion = Some(winner);
            if self.limit.is_none() && stale >= self.settings.patience {
                break Stopped::Settled;
            }
        };
        Ok(self.outcome(&session, &islands, champion, history, correction, stopped))
    }

    /// Plans worth measuring that were not measured yet and are apart from each other and from the champion: the best predicted ones, then children of
    /// the champion. Where none is apart, the best predicted.
    fn contenders<E: Evaluate>(
        &self,
        problem: Problem<'_, S>,
        session: &Session<'_, E>,
        islands: &Islands<'_>,
        champion: Option<&Genome>,
        generator: &mut impl Rng,
    ) -> Vec<Genome> {
        let wanted = self.settings.contenders;
        let mut seen: HashSet<Genome> = session.all().into_iter().map(|(plan, _)| plan.clone()).collect();
        let mut children: Vec<(f64, Genome)> = Vec::new();
        if let Some(champion) = champion {
            let drawn =
                (0..LITTER * wanted / 2).map(|_| vary(problem, Aim::Answer, champion.clone(), generator));
            children = drawn
                .filter(|child| problem.fits(&problem.predict(child)))
                .map(|child| (problem.predict(&child).damage, child))
                .collect();
            children.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        }
        let alive = islands.fitting(problem).into_iter().map(|(genome, _)| genome);
        // the best predicted first: what a limit cuts off is the end
        let new = alive
            .take(wanted)
            .chain(children.into_iter().map(|(_, child)| child))
            .filter(|plan| seen.insert(plan.clone()));
        let new: Vec<Genome> = new.collect();
        let mut chosen: Vec<Genome> = Vec::with_capacity(wanted);
        let apart = self.space.len() / APART;
        for plan in &new {
            let is_apart = |other: &Genome| plan.distance(other) > apart;
            if chosen.len() < wanted && chosen.iter().chain(champion).all(is_apart) {
                chosen.push(plan.clone());
            }
        }
        if chosen.is_empty() {
            chosen.extend(new.into_iter().take(1));
        }
        chosen
    }

    /// Measures plans that teach most about predictions: each kind worse at first, then quarters of all units.
    fn probe<E: Evaluate>(
        &self,
        session: &mut Session<'_, E>,
        problem: Problem<'_, S>,
        champion: &Genome,
        first: bool,
        generator: &mut impl Rng,
    ) -> Result<Answer, SearchError> {
        let draw = || probes::random(problem, champion, generator);
        let random: Vec<Genome> =
            std::iter::repeat_with(draw).take(self.settings.contenders / PROBES).collect();
        let probes = if first { probes::of_kinds(problem, champion) } else { random };
        let height = self.settings.rungs.get(1).map_or(1, |&rung| rung.min(session.chunks()));
        let affordable = session.chunks_left() / height.max(1);
        session.measure(&probes.iter().take(affordable).collect::<Vec<_>>(), height)
    }

    /// Expected front among all plans alive and measured.
    fn front<E: Evaluate>(
        &self,
        session: &Session<'_, E>,
        islands: &Islands<'_>,
        correction: &Correction,
    ) -> Vec<Candidate> {
        let problem = self.problem(correction);
        let mut plans: Vec<Genome> = islands.fitting(problem).into_iter().map(|(genome, _)| genome).collect();
        plans.extend(session.all().into_iter().map(|(plan, _)| plan.clone()));
        plans.sort_unstable();
        plans.dedup();
        plans.retain(|plan| self.budgets.fit(&self.surrogate.predict(plan).costs));
        let predictions: Vec<_> = plans.iter().map(|plan| problem.predict(plan)).collect();
        let points: Vec<Vec<f64>> = predictions.iter().map(objectives).collect();
        let mut front = undominated(&points);
        front.sort_by(|&a, &b| predictions[a].damage.total_cmp(&predictions[b].damage));
        front.into_iter().map(|index| self.known(session, &plans[index], correction)).collect()
    }

    fn known<E: Evaluate>(
        &self,
        session: &Session<'_, E>,
        plan: &Genome,
        correction: &Correction,
    ) -> Candidate {
        Candidate { measured: session.measured(plan), ..self.candidate(plan, correction) }
    }

    fn report<E: Evaluate>(
        &self,
        session: &Session<'_, E>,
        islands: &Islands<'_>,
        history: &[Step],
        correction: &Correction,
    ) -> Report {
        let last = history.last();
        Report {
            round: history.len(),
            best: last.map(|step| step.best),
            expected: last.map_or(f64::INFINITY, |step| step.expected),
            front: self.front(session, islands, correction).len(),
            evaluations: session.evaluations(),
            remaining: session.remaining(),
        }
    }

    fn outcome<E: Evaluate>(
        &self,
        session: &Session<'_, E>,
        islands: &Islands<'_>,
        champion: Option<Genome>,
        history: Vec<Step>,
        corrections: Correction,
        stopped: Stopped,
    ) -> Outcome {
        let front = self.front(session, islands, &corrections);
        let chosen =
            champion.map_or_else(|| front[0].clone(), |plan| self.known(session, &plan, &corrections));
        let (takeover, evaluations) = (self.takeover(), session.evaluations());
        Outcome { chosen, front, history, corrections, takeover, evaluations, stopped }
    }
}

#[cfg(test)]
mod tests;
