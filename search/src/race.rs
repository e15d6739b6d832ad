//! Plans are compared on few chunks first, and only those that may still win are measured on more.
//!
//! All plans of a race are measured on the same chunks, so that the difference to the best plan so far is paired: what makes a chunk hard falls out
//! of it. A plan is dropped as soon as the confidence interval of its mean difference lies above zero, and at each rung the better quarter
//! goes on ("Hoeffding races"; the shares are those of "EvoPress").

use crate::evaluate::Evaluate;
use crate::session::{Answer, Session};
use crate::{Genome, Measured, SearchError};

/// Standard errors above zero from which a difference counts as real.
const EXCLUDED: f64 = 2.0;
/// One of so many goes on at a rung.
const KEPT: usize = 4;

/// How a race ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Race {
    /// The best plan on all chunks, the champion so far included.
    Won(Genome),
    /// The limit came first.
    Limit,
    /// Someone asked to stop.
    Interrupted,
}

/// Races plans against each other and against the champion, which has been measured on all chunks.
pub(crate) fn race<E: Evaluate>(
    session: &mut Session<'_, E>,
    champion: Option<&Genome>,
    plans: Vec<Genome>,
    rungs: &[usize],
) -> Result<Race, SearchError> {
    let chunks = session.chunks();
    if session.chunks_left() < chunks {
        return Ok(Race::Limit);
    }
    let mut alive: Vec<Genome> = plans.into_iter().filter(|plan| Some(plan) != champion).collect();
    let mut heights: Vec<usize> = rungs.iter().copied().filter(|&rung| rung > 0 && rung < chunks).collect();
    heights.push(chunks);
    heights.dedup();
    for (step, &height) in heights.iter().enumerate() {
        alive.truncate(affordable(session, &alive, height));
        if alive.is_empty() {
            break;
        }
        if session.measure(&alive.iter().collect::<Vec<_>>(), height)? == Answer::Interrupted {
            return Ok(Race::Interrupted);
        }
        alive.sort_by(|a, b| {
            mean(session, a, height).total_cmp(&mean(session, b, height)).then_with(|| a.cmp(b))
        });
        if let Some(champion) = champion {
            alive.retain(|plan| may_win(session.values(plan, height), session.values(champion, height)));
        }
        if step + 1 < heights.len() {
            alive.truncate(alive.len().div_ceil(KEPT));
        }
    }
    let finished = alive.into_iter().filter(|plan| session.asked_of(plan) >= chunks).chain(champion.cloned());
    let best = finished.min_by(|a, b| mean(session, a, chunks).total_cmp(&mean(session, b, chunks)));
    Ok(best.map_or(Race::Limit, Race::Won))
}

/// How many of the plans, in order, may be measured up to this height so that one of them can still be measured to the end.
fn affordable<E: Evaluate>(session: &Session<'_, E>, plans: &[Genome], height: usize) -> usize {
    let mut left = session.chunks_left().saturating_sub(session.chunks() - height);
    let fits = |plan: &&Genome| {
        let needed = height.saturating_sub(session.asked_of(plan));
        let enough = needed <= left;
        left = left.saturating_sub(needed);
        enough
    };
    plans.iter().take_while(fits).count()
}

fn mean<E: Evaluate>(session: &Session<'_, E>, plan: &Genome, chunks: usize) -> f64 {
    Measured::of(session.values(plan, chunks)).map_or(f64::INFINITY, |measured| measured.mean)
}

/// Whether the paired differences leave it possible that the plan is better than the champion.
fn may_win(plan: &[f64], champion: &[f64]) -> bool {
    let differences: Vec<f64> = plan.iter().zip(champion).map(|(plan, champion)| plan - champion).collect();
    Measured::of(&differences).is_none_or(|difference| difference.mean <= EXCLUDED * difference.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_dropped_when_its_paired_differences_exclude_it() {
        let champion = [1.0, 5.0, 2.0, 9.0];
        let slightly_worse: Vec<f64> =
            champion.iter().zip([0.10, 0.12, 0.09, 0.11]).map(|(a, b)| a + b).collect();
        assert!(!may_win(&slightly_worse, &champion));
        let unclear: Vec<f64> = champion.iter().zip([0.10, -0.12, 0.09, 0.01]).map(|(a, b)| a + b).collect();
        assert!(may_win(&unclear, &champion));
        // one chunk says nothing of the spread
        assert!(may_win(&[3.0], &champion[..1]));
    }
}
