//! Layers that can be dropped: what is in them falls silent, and the search finds the best of all plans; baselines stay within budgets, too.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use secateur_search::baselines::Baseline;
use secateur_search::{
    Budgets, Candidate, Costs, Evaluate, Genome, Limit, Prediction, Preset, Search, Space, Surrogate, Task,
    Unit,
};

const LAYERS: usize = 4;
const STRIDE: usize = 3;
const TYPES: usize = 3;

/// Four layers of two matrices with three types, each of which can be dropped.
struct Layers {
    space: Space,
    quantities: [String; 1],
}

impl Layers {
    fn new() -> Self {
        let layer = |layer: usize| {
            let matrix =
                |n: usize| Unit::new(format!("{layer}.{n}"), "type", TYPES).silent_when(layer * STRIDE, 1);
            [Unit::new(format!("{layer}"), "layer", 2), matrix(0), matrix(1)]
        };
        Self {
            space: Space::new((0..LAYERS).flat_map(layer).collect()).unwrap(),
            quantities: ["bytes".to_owned()],
        }
    }

    /// Every plan, each once.
    fn plans(&self) -> Vec<Genome> {
        let number: usize = self.space.units().iter().map(|unit| unit.levels).product();
        let plan = |mut index: usize| {
            let levels = self.space.units().iter().map(|unit| {
                let level = index % unit.levels;
                index /= unit.levels;
                level as u16
            });
            self.space.genome(levels.collect()).unwrap()
        };
        let mut plans: Vec<Genome> = (0..number).map(plan).collect();
        plans.sort();
        plans.dedup();
        plans
    }
}

impl Surrogate for Layers {
    type State = ();

    fn quantities(&self) -> &[String] {
        &self.quantities
    }

    fn state(&self, _: &Genome) {}

    fn predict(&self, genome: &Genome) -> Prediction {
        let (mut damage, mut bytes) = (1.0, 10.0);
        for layer in 0..LAYERS {
            let importance = [9.0, 2.0, 1.0, 5.0][layer];
            if genome.level(layer * STRIDE) == 1 {
                damage += 3.0 * importance;
                continue;
            }
            for matrix in 1..STRIDE {
                let level = genome.level(layer * STRIDE + matrix);
                damage += importance * matrix as f64 * [0.0, 0.3, 1.1][level];
                bytes += matrix as f64 * [80.0, 45.0, 26.0][level];
            }
        }
        Prediction { damage, costs: Costs::new(&[bytes]) }
    }
}

impl Evaluate for Layers {
    type Error = std::io::Error;

    fn chunks(&self) -> usize {
        8
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        _: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), std::io::Error> {
        for (index, task) in tasks.iter().enumerate() {
            let damage = self.predict(&task.plan).damage;
            let values: Vec<f64> =
                task.chunks.clone().map(|chunk| damage * (1.0 + chunk as f64 / 10.0)).collect();
            done(index, &values);
        }
        Ok(())
    }
}

#[test]
fn the_best_of_all_plans_is_found_where_layers_can_be_dropped() {
    let layers = Layers::new();
    let plans: Vec<Prediction> = layers.plans().iter().map(|plan| layers.predict(plan)).collect();
    for limit in [60.0, 150.0, 300.0, 500.0, 800.0] {
        let within = plans.iter().filter(|plan| plan.costs[0] <= limit).map(|plan| plan.damage);
        let least = within.fold(f64::INFINITY, f64::min);
        for seed in 0..5 {
            let budgets = Budgets::new(layers.quantities(), &[Some(limit)]).unwrap();
            let search = Search::new(&layers.space, &layers, budgets, Preset::Fast.settings(seed)).unwrap();
            let found = search.explore().unwrap();
            assert!(
                (found.best.predicted - least).abs() < 1e-9,
                "limit {limit}: {} {least}",
                found.best.predicted
            );
            // the front is searched by generations alone: nearly all of it is exact
            let beaten = |of: &Candidate| {
                plans.iter().any(|plan| plan.damage <= of.predicted - 1e-9 && plan.costs[0] <= of.costs[0])
            };
            assert!(found.front.iter().all(|plan| plan.costs[0] <= limit));
            let inexact = found.front.iter().filter(|plan| beaten(plan)).count();
            assert!(inexact * 4 <= found.front.len(), "limit {limit}: {inexact} of {}", found.front.len());
        }
    }
}

#[test]
fn baselines_keep_budgets_and_limits() {
    let layers = Layers::new();
    let budgets = Budgets::new(layers.quantities(), &[Some(300.0)]).unwrap();
    let search = Search::new(&layers.space, &layers, budgets, Preset::Fast.settings(1)).unwrap();
    let search = search.limited(Limit::Evaluations(12));
    for baseline in [Baseline::Random, Baseline::Seed, Baseline::OnePlusLambda] {
        let found = baseline.run(&search, &layers).unwrap().unwrap();
        assert!(layers.predict(&found.plan).costs[0] <= 300.0);
        assert!(found.history.iter().all(|(evaluations, _)| *evaluations <= 12.0));
        assert!((found.measured.mean / layers.predict(&found.plan).damage - 1.35).abs() < 1e-9);
    }
}

/// One unit with one level: there is one plan.
struct Single(Space);

impl Surrogate for Single {
    type State = ();

    fn quantities(&self) -> &[String] {
        &[]
    }

    fn state(&self, _: &Genome) {}

    fn predict(&self, _: &Genome) -> Prediction {
        Prediction { damage: 1.0, costs: Costs::new(&[]) }
    }
}

#[test]
fn a_space_of_one_plan_has_that_answer() {
    let single = Single(Space::new(vec![Unit::new("only", "only", 1)]).unwrap());
    let budgets = Budgets::new(&[], &[]).unwrap();
    let search = Search::new(&single.0, &single, budgets, Preset::Balanced.settings(1)).unwrap();
    let found = search.explore().unwrap();
    assert_eq!((found.best.genome.levels(), found.front.len()), ([0].as_slice(), 1));
}
