//! Predicted beside measured, on random plans.

use std::time::Instant;

use secateur_plans::{Limits, Plans};
use secateur_reports::chart::{Chart, Series};
use secateur_search::{Genome, Surrogate as _};
use secateur_tests::random::Random;
use secateur_tests::spearman::spearman;

use crate::{Arguments, Failure, mean, measurer};

/// Predicted beside measured, on the first sequences of the search.
pub(crate) fn predict(arguments: &Arguments, plans: &Plans) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pairs = Vec::new();
    let measurer = measurer(arguments, plans)?;
    println!("| bytes | shape | predicted | measured |\n|---:|---|---:|---:|");
    for genome in wandering(plans, arguments.sizes[0], arguments.plans)? {
        if started.elapsed() > arguments.time {
            break;
        }
        let prediction = plans.predictor().predict(&genome);
        let measured = mean(&measurer, &genome)?;
        let shape = plans.describe(&genome).body;
        println!("| {:.0} | {shape} | {:.4} | {measured:.4} |", prediction.costs[0], prediction.damage);
        pairs.push((shape, prediction.damage, measured));
    }
    let told = |pairs: &[(f64, f64)]| {
        spearman(pairs).map_or_else(|| "unknown".to_owned(), |correlation| format!("{correlation:.3}"))
    };
    let all: Vec<_> = pairs.iter().map(|(_, predicted, measured)| (*predicted, *measured)).collect();
    let whole = plans.describe(&plans.space().genome(vec![0; plans.space().len()])?).body;
    let of_whole = pairs.iter().filter(|(shape, ..)| *shape == whole);
    let of_whole: Vec<_> = of_whole.map(|(_, predicted, measured)| (*predicted, *measured)).collect();
    if let Some(chart) = &arguments.chart {
        std::fs::write(chart, drawn(&pairs, &whole).svg())?;
    }
    println!(
        "\nSpearman's rank correlation: {} on {} plans, {} on the {} of them that keep the shape; {:.0} seconds.",
        told(&all),
        all.len(),
        told(&of_whole),
        of_whole.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A dot for each plan.
fn drawn(pairs: &[(String, f64, f64)], whole: &str) -> Chart {
    let of = |name: &str, is_whole: bool| Series {
        name: name.to_owned(),
        points: pairs
            .iter()
            .filter(|(shape, ..)| (shape == whole) == is_whole)
            .map(|(_, predicted, measured)| (1e3 * predicted, 1e3 * measured))
            .collect(),
    };
    Chart {
        title: "Random plans: measured and predicted loss, thousandths of a nat per token".to_owned(),
        x: "predicted".to_owned(),
        start: 0.0,
        y: "measured".to_owned(),
        series: vec![of("the model's own shape", true), of("smaller shapes", false)],
        joined: false,
    }
}

/// Plans within so many bytes: from the best by types alone, 1, 2, 4 … 256 changes that keep the budget, of any kind of unit as likely as of any other.
fn wandering(plans: &Plans, bytes: u64, count: usize) -> Result<Vec<Genome>, Failure> {
    let budgets = plans.budgets(&Limits { size: Some(bytes), ..Limits::default() })?;
    let start = plans.by_types_alone(bytes).ok_or("the size is too small for the model's own shape")?;
    let units = plans.space().units();
    let can_change = units.iter().filter(|unit| unit.levels > 1);
    let mut kinds: Vec<&str> = can_change.map(|unit| unit.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut random = Random::new(1);
    let mut draw = |below: usize| (random.uniform() * below as f64) as usize;
    let mut wander = |steps: usize| {
        let (mut here, mut done) = (start.clone(), 0);
        while done < steps {
            let kind = kinds[draw(kinds.len())];
            let of_kind: Vec<usize> = (0..units.len()).filter(|&unit| units[unit].kind == kind).collect();
            let unit = of_kind[draw(of_kind.len())];
            let there = plans.space().with(&here, unit, draw(units[unit].levels));
            if budgets.fit(&plans.predictor().predict(&there).costs) {
                here = there;
                done += 1;
            }
        }
        here
    };
    Ok((0..count).map(|index| wander(1 << (index % 9))).collect())
}
