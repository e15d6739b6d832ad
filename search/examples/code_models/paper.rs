//! The paper's genetic algorithm, as its code has it: population 50, 100 generations, single-point crossover with probability 0.6 over genes in
//! alphabetical order, otherwise both parents mutate from a random gene on; parents drawn uniformly; the best of both generations live.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use secateur_search::Surrogate;
use secateur_search::code_models::CodeModels;

const POPULATION: usize = 50;
const GENERATIONS: usize = 100;
const CROSSOVER: f64 = 0.6;
/// Units of the space in the order in which the paper declares them: vocabulary, heads, hidden size, FFN width, layers.
const AS_DECLARED: [usize; 5] = [0, 1, 2, 3, 4];
/// The same in the alphabetical order of the paper's names, by which it crosses over: attention heads, hidden size, FFN width (intermediate size),
/// layers (n), vocabulary.
const BY_NAME: [usize; 5] = [1, 2, 3, 4, 0];

/// Levels of the units, and the order in which they mutate: alphabetical once an ancestor came from a crossover.
#[derive(Clone, Copy)]
struct Genes {
    levels: [u16; 5],
    order: [usize; 5],
}

/// The best objective that one run finds.
pub fn search(models: &CodeModels, seed: u64) -> f64 {
    let mut generator = SmallRng::seed_from_u64(seed);
    let mut population: Vec<Genes> = Vec::new();
    while population.len() < POPULATION {
        let levels = AS_DECLARED.map(|unit| random(models, unit, &mut generator));
        let mut genes = Genes { levels, order: AS_DECLARED };
        make_new(models, &mut genes, &population, &mut generator);
        population.push(genes);
    }
    for _ in 0..GENERATIONS {
        let mut children = Vec::new();
        while children.len() < POPULATION {
            let parents: Vec<Genes> = population.choose_multiple(&mut generator, 2).copied().collect();
            children.extend(children_of(models, parents[0], parents[1], &mut generator));
        }
        for mut child in children {
            make_new(models, &mut child, &population, &mut generator);
            population.push(child);
        }
        population.sort_by(|a, b| objective(models, b).total_cmp(&objective(models, a)));
        population.truncate(POPULATION);
    }
    objective(models, &population[0])
}

fn objective(models: &CodeModels, genes: &Genes) -> f64 {
    let genome = models.space().genome(genes.levels.to_vec());
    genome.map_or(f64::NEG_INFINITY, |genome| -models.predict(&genome).damage)
}

fn random(models: &CodeModels, unit: usize, generator: &mut SmallRng) -> u16 {
    generator.gen_range(0..models.space().units()[unit].levels) as u16
}

/// Mutates until nobody in the population is the same.
fn make_new(models: &CodeModels, genes: &mut Genes, population: &[Genes], generator: &mut SmallRng) {
    while population.iter().any(|other| other.levels == genes.levels) {
        mutate(models, genes, generator);
    }
}

/// Every gene from a random one on gets another value.
fn mutate(models: &CodeModels, genes: &mut Genes, generator: &mut SmallRng) {
    let from = generator.gen_range(0..genes.order.len());
    for unit in genes.order.into_iter().skip(from) {
        let before = genes.levels[unit];
        while genes.levels[unit] == before {
            genes.levels[unit] = random(models, unit, generator);
        }
    }
}

fn children_of(models: &CodeModels, one: Genes, other: Genes, generator: &mut SmallRng) -> [Genes; 2] {
    let (mut first, mut second) = (one, other);
    if generator.gen_bool(CROSSOVER) {
        let from = generator.gen_range(1..BY_NAME.len());
        for &unit in &BY_NAME[from..] {
            (first.levels[unit], second.levels[unit]) = (other.levels[unit], one.levels[unit]);
        }
        (first.order, second.order) = (BY_NAME, BY_NAME);
    } else {
        mutate(models, &mut first, generator);
        mutate(models, &mut second, generator);
    }
    [first, second]
}
