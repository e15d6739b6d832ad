//! The last round of a search: plans rounded in full, and held against each other on text that neither calibration nor search has seen.

use secateur_compress::rounding::RoundedStore;
use secateur_plans::{Finalist, Measurer, Plans, Scored};
use secateur_reports::search::{FinalistRow, SearchRecord};
use secateur_search::Measured;

use super::calibrated::Prepared;
use crate::console::Bar;
use crate::searching::row;

/// A plan that may be written.
pub struct Contender {
    pub finalist: Finalist,
    pub prepared: Prepared,
}

/// A contender that is rounded.
struct Judged {
    contender: Contender,
    rounded: Option<RoundedStore>,
    /// On each sequence, in nats per token.
    losses: Vec<f64>,
}

impl Judged {
    fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64
    }
}

/// Rounds contenders and gives the one that loses least on sequences of the whole model; the record tells how all of them did.
pub fn best(
    first: Contender,
    rivals: Vec<Contender>,
    plans: &Plans,
    held_out: &[Vec<u32>],
    record: &mut SearchRecord,
    progress: &Bar,
) -> anyhow::Result<(Contender, Option<RoundedStore>)> {
    let measurer = Measurer::new(plans, held_out, Scored::SecondHalf)?;
    let judge = |contender: Contender| -> anyhow::Result<Judged> {
        let (finalist, prepared) = (&contender.finalist, &contender.prepared);
        let rounded = prepared.round(&finalist.model, progress)?;
        let written = match &rounded {
            Some(rounded) => rounded.applied(&finalist.model, &prepared.types())?,
            None => finalist.model.clone(),
        };
        Ok(Judged { losses: measurer.measure_rounded(finalist, &written, progress)?, rounded, contender })
    };
    let mut best = judge(first)?;
    let mut others = Vec::with_capacity(rivals.len());
    for rival in rivals {
        let mut judged = judge(rival)?;
        if judged.mean() < best.mean() {
            std::mem::swap(&mut best, &mut judged);
        }
        others.push(judged);
    }
    others.sort_by(|a, b| a.mean().total_cmp(&b.mean()));
    let of_best = told(&best, &best, plans);
    record.gguf_bytes = best.contender.finalist.plan.gguf_bytes;
    record.chosen = of_best.plan.clone();
    record.finalists =
        std::iter::once(of_best).chain(others.iter().map(|other| told(other, &best, plans))).collect();
    others.into_iter().filter_map(|other| other.rounded).for_each(RoundedStore::remove);
    Ok((best.contender, best.rounded))
}

fn told(judged: &Judged, best: &Judged, plans: &Plans) -> FinalistRow {
    let error = |values: &[f64]| {
        Measured::of(values).map(|measured| measured.error).filter(|error| error.is_finite())
    };
    let behind: Vec<f64> = judged.losses.iter().zip(&best.losses).map(|(ours, best)| ours - best).collect();
    FinalistRow {
        plan: row(plans, &judged.contender.finalist.candidate),
        loss: judged.mean(),
        loss_error: error(&judged.losses),
        behind: judged.mean() - best.mean(),
        behind_error: error(&behind),
    }
}
