//! Several ways to find a plan, given the same.

use std::path::{Path, PathBuf};
use std::time::Instant;

use secateur_plans::{Limits, Measurer, Plans, Scored};
use secateur_reports::chart::{Chart, Series};
use secateur_search::baselines::{Baseline, Compared};
use secateur_search::{Genome, Limit, Preset, Search, Study};

use crate::{Arguments, Failure, mean, measurer};

/// A way to find a plan.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Search,
    Knapsack,
    Predicted,
    Random,
    OnePlusLambda,
}

impl Way {
    pub(crate) const ALL: [Self; 5] =
        [Self::Search, Self::Knapsack, Self::Predicted, Self::Random, Self::OnePlusLambda];

    /// The way with this name on the command line.
    pub(crate) fn named(typed: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|way| way.typed() == typed);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::typed).join(", ");
            format!("`{typed}` is no way to find a plan; known: {known}").into()
        })
    }

    fn typed(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Knapsack => "knapsack",
            Self::Predicted => "predicted",
            Self::Random => "random",
            Self::OnePlusLambda => "exchanges",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Knapsack => "types by knapsack alone",
            Self::Predicted => "best prediction alone",
            Self::Random => "random",
            Self::OnePlusLambda => "(1+λ)",
        }
    }

    /// Whether it is one plan, whatever the seed and the evaluations.
    fn measures_once(self) -> bool {
        matches!(self, Self::Knapsack | Self::Predicted)
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
        for &way in &arguments.ways {
            let started = Instant::now();
            let seeds = if way.measures_once() { 1 } else { arguments.seeds };
            let found = (0..seeds)
                .map(|seed| find(way, arguments.evaluations, seed, plans, &searched, bytes).transpose())
                .collect::<Option<Result<Vec<Found>, Failure>>>()
                .transpose()?;
            let seconds = started.elapsed().as_secs_f64();
            let Some(found) = found else {
                println!("| {bytes} | {} | nothing fits | | |", way.name());
                continue;
            };
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
            std::fs::write(of_size(chart, bytes), drawn(bytes, curves).svg())?;
        }
    }
    Ok(())
}

/// The file of a size's drawing: `FILE_72MB.svg` for `FILE.svg`.
fn of_size(chart: &Path, bytes: u64) -> PathBuf {
    let stem = chart.file_stem().unwrap_or_default().to_string_lossy();
    chart.with_file_name(format!("{stem}_{}MB.svg", bytes as f64 / 1e6))
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
        Way::Predicted => Baseline::Seed,
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
            return Ok(Some(Found { plan, history: throughout(damage, evaluations) }));
        }
    };
    let found = baseline.run(&search, measurer)?;
    Ok(found.map(|Compared { plan, mut history, .. }| {
        if way.measures_once() {
            history = history.first().map_or_else(Vec::new, |&(_, damage)| throughout(damage, evaluations));
        }
        Found { plan, history }
    }))
}

/// The curve of a plan that is measured once.
fn throughout(damage: f64, evaluations: usize) -> Vec<(f64, f64)> {
    vec![(1.0, damage), (evaluations as f64, damage)]
}
