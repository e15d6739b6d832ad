//! Several ways to find a plan, given the same.

use std::time::Instant;

use secateur_plans::{Limits, Measurer, Plans, Scored};
use secateur_reports::chart::{Chart, Series};
use secateur_search::baselines::Baseline;
use secateur_search::{Genome, Limit, Preset, Search, Study};

use crate::{Arguments, Failure, mean, measurer};

/// A way to find a plan.
#[derive(Clone, Copy)]
enum Way {
    Search,
    Knapsack,
    Random,
    OnePlusLambda,
}

impl Way {
    const ALL: [Self; 4] = [Self::Search, Self::Knapsack, Self::Random, Self::OnePlusLambda];

    fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Knapsack => "types by knapsack alone",
            Self::Random => "random",
            Self::OnePlusLambda => "(1+λ)",
        }
    }
}

/// What a way ended with, and how it came there.
struct Found {
    plan: Genome,
    /// Evaluations so far, and what the best plan loses on the sequences of the search.
    history: Vec<(f64, f64)>,
}

/// Plans found in several ways, judged on sequences that none of them saw.
pub(crate) fn compare(arguments: &Arguments, plans: &Plans, held_out: &[Vec<u32>]) -> Result<(), Failure> {
    let (searched, judge) =
        (measurer(arguments, plans)?, Measurer::new(plans, held_out, Scored::ThreeQuarters)?);
    println!("| bytes | how | held-out KL of each seed | mean | seconds |\n|---:|---|---:|---:|---:|");
    for &bytes in &arguments.sizes {
        let mut curves = Vec::new();
        for way in Way::ALL {
            let started = Instant::now();
            // the knapsack knows no seed
            let seeds = if matches!(way, Way::Knapsack) { 1 } else { arguments.seeds };
            let found = (0..seeds)
                .map(|seed| {
                    let found = find(way, arguments.evaluations, seed, plans, &searched, bytes)?;
                    found.ok_or_else(|| format!("{} found nothing", way.name()).into())
                })
                .collect::<Result<Vec<Found>, Failure>>()?;
            let seconds = started.elapsed().as_secs_f64();
            let judged =
                found.iter().map(|found| mean(&judge, &found.plan)).collect::<Result<Vec<f64>, Failure>>()?;
            let each: Vec<String> = judged.iter().map(|damage| format!("{damage:.4}")).collect();
            let mean = judged.iter().sum::<f64>() / judged.len() as f64;
            println!("| {bytes} | {} | {} | {mean:.4} | {seconds:.0} |", way.name(), each.join(", "));
            curves.push(Series {
                name: way.name().to_owned(),
                points: best_so_far(&found, arguments.evaluations),
            });
        }
        if let Some(chart) = &arguments.chart {
            std::fs::write(chart, drawn(bytes, curves).svg())?;
        }
    }
    Ok(())
}

/// Mean over seeds of what the best plan loses after so many evaluations, in thousandths of a nat, from where each seed has one.
fn best_so_far(found: &[Found], evaluations: usize) -> Vec<(f64, f64)> {
    let at = |history: &[(f64, f64)], count: usize| {
        history.iter().take_while(|(so_far, _)| *so_far <= count as f64).last().map(|(_, damage)| *damage)
    };
    (1..=evaluations)
        .filter_map(|count| {
            let damages: Option<Vec<f64>> = found.iter().map(|found| at(&found.history, count)).collect();
            damages.map(|damages| (count as f64, 1e3 * damages.iter().sum::<f64>() / found.len() as f64))
        })
        .collect()
}

fn drawn(bytes: u64, series: Vec<Series>) -> Chart {
    Chart {
        title: format!(
            "The best plan so far within {} MB, thousandths of a nat per token, mean of seeds",
            bytes as f64 / 1e6
        ),
        x: "evaluations".to_owned(),
        start: 0.0,
        y: "lost".to_owned(),
        series,
        joined: true,
    }
}

/// The plan that a way to find one ends with.
fn find(
    way: Way,
    evaluations: usize,
    seed: u64,
    plans: &Plans,
    measurer: &Measurer,
    bytes: u64,
) -> Result<Option<Found>, Failure> {
    let by_types = plans.by_types_alone(bytes);
    let budgets = plans.budgets(&Limits { size: Some(bytes), ..Limits::default() })?;
    let search = Search::new(plans.space(), plans.predictor(), budgets, Preset::Balanced.settings(seed))?
        .limited(Limit::Evaluations(evaluations));
    let baseline = match way {
        Way::Random => Baseline::Random,
        Way::OnePlusLambda => Baseline::OnePlusLambda,
        Way::Search => {
            let search = search.starting_from(by_types.into_iter().collect())?;
            let outcome = search.run(measurer, &mut Study::in_memory(), &secateur_search::Silent)?;
            let history = outcome.history.iter().map(|step| (step.evaluations, step.best.mean)).collect();
            return Ok(Some(Found { plan: outcome.chosen.genome, history }));
        }
        Way::Knapsack => {
            let Some(plan) = by_types else { return Ok(None) };
            let damage = mean(measurer, &plan)?;
            let history = vec![(1.0, damage), (evaluations as f64, damage)];
            return Ok(Some(Found { plan, history }));
        }
    };
    let found = baseline.run(&search, measurer)?;
    Ok(found.map(|found| Found { plan: found.plan, history: found.history }))
}
