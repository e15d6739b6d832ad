//! The front of ZDT1 ("Comparison of Multiobjective Evolutionary Algorithms: Empirical Results"), discretised, is reached exactly.

use secateur_search::{
    Budgets, Costs, Genome, Graph, Prediction, Preset, Search, Settings, Space, Surrogate, Unit,
};

const VARIABLES: usize = 30;
const LEVELS: usize = 32;

struct Zdt1 {
    quantities: [String; 1],
}

impl Surrogate for Zdt1 {
    /// Sum of all variables but the first, in steps.
    type State = usize;

    fn quantities(&self) -> &[String] {
        &self.quantities
    }

    fn state(&self, genome: &Genome) -> usize {
        (1..VARIABLES).map(|unit| genome.level(unit)).sum()
    }

    fn predict(&self, genome: &Genome) -> Prediction {
        predict(genome.level(0), self.state(genome))
    }

    fn after_move(
        &self,
        _: &Space,
        genome: &Genome,
        others: &usize,
        unit: usize,
        level: usize,
    ) -> Prediction {
        match unit {
            0 => predict(level, *others),
            _ => predict(genome.level(0), others - genome.level(unit) + level),
        }
    }
}

/// The two objectives: the first variable, and the other one from the first and the sum of the rest.
fn predict(first: usize, others: usize) -> Prediction {
    let unit = (LEVELS - 1) as f64;
    let f1 = first as f64 / unit;
    let g = 1.0 + 9.0 * others as f64 / unit / (VARIABLES - 1) as f64;
    Prediction { damage: g * (1.0 - (f1 / g).sqrt()), costs: Costs::new(&[f1]) }
}

/// Area between points of (cost, damage) and the corner (1.1, 1.1).
fn hypervolume(mut points: Vec<(f64, f64)>) -> f64 {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ends = points.iter().skip(1).map(|point| point.0).chain([1.1]);
    points.iter().zip(ends).map(|(&(cost, damage), end)| (end - cost) * (1.1 - damage)).sum()
}

#[test]
fn the_exact_front_is_reached() {
    let space =
        Space::new((0..VARIABLES).map(|n| Unit::new(format!("x{n}"), "x", LEVELS)).collect()).unwrap();
    let problem = Zdt1 { quantities: ["f1".to_owned()] };
    let exact: Vec<(f64, f64)> =
        (0..LEVELS).map(|level| level as f64 / (LEVELS - 1) as f64).map(|x| (x, 1.0 - x.sqrt())).collect();
    for seed in 1..=3 {
        let settings =
            Settings { population: 80, generations: 20, graph: Graph::Ring, ..Preset::Fast.settings(seed) };
        let budgets = Budgets::new(problem.quantities(), &[None]).unwrap();
        let front = Search::new(&space, &problem, budgets, settings).unwrap().explore().unwrap().front;
        let found: Vec<(f64, f64)> = front.iter().map(|plan| (plan.costs[0], plan.predicted)).collect();
        assert_eq!(found.len(), LEVELS);
        assert!((hypervolume(found) - hypervolume(exact.clone())).abs() < 1e-12);
    }
}
