//! One island: generations of plans through the `genetic_algorithm` crate.
//!
//! The crate gives the loop, genes, and uniform crossover. Ours are three parts: mutation makes moves that keep budgets, fitness predicts a whole
//! generation at once, and selection puts what fits first and then either the least damage or the whole front.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genetic_algorithm::fitness::FitnessCache;
use genetic_algorithm::strategy::evolve::prelude::*;
use rand::Rng;
use rayon::prelude::*;
use thread_local::ThreadLocal;

use crate::moves::vary;
use crate::problem::Problem;
use crate::selection::{Aim, select};
use crate::{Genome, Prediction, Surrogate};

type Genes = MultiListGenotype<u16>;

/// What the parts of an island know together: predictions of the last generation, parents and children.
type Known = HashMap<Genome, Prediction>;

/// What mutation, fitness and selection of an island share.
struct Part<'p, S: Surrogate> {
    problem: Problem<'p, S>,
    aim: Aim,
    known: Arc<Mutex<Known>>,
}

/// Lets `population` evolve for some generations; gives back at most `size` plans with their predictions, best first.
pub(crate) fn evolve<S: Surrogate>(
    problem: Problem<'_, S>,
    aim: Aim,
    population: &[Genome],
    size: usize,
    generations: usize,
    seed: u64,
) -> Vec<(Genome, Prediction)> {
    let lists = problem.space.units().iter().map(|unit| (0..unit.levels as u16).collect()).collect();
    let genotype = Genes::builder()
        .with_allele_lists(lists)
        .with_seed_genes_list(population.iter().map(|genome| genome.levels().to_vec()).collect())
        .build();
    let part = Part { problem, aim, known: Arc::default() };
    let evolution = genotype.ok().and_then(|genotype| {
        Evolve::builder()
            .with_genotype(genotype)
            .with_target_population_size(size)
            .with_max_generations(generations)
            .with_fitness_ordering(FitnessOrdering::Minimize)
            .with_fitness(part.clone())
            .with_crossover(CrossoverUniform::new(1.0, 0.5))
            .with_mutate(part.clone())
            .with_select(part.clone())
            .with_rng_seed_from_u64(seed)
            .build()
            .ok()
    });
    // both builders refuse only what cannot be here: an empty space, seeds outside of it, a missing part
    let Some(mut evolution) = evolution else { return Vec::new() };
    evolution.call();
    let last = part.known().drain().collect();
    select(problem, aim, last, size)
}

impl<S: Surrogate> Part<'_, S> {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Surrogate> Clone for Part<'_, S> {
    fn clone(&self) -> Self {
        Self { problem: self.problem, aim: self.aim, known: Arc::clone(&self.known) }
    }
}

impl<S: Surrogate> fmt::Debug for Part<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Part").field("aim", &self.aim).finish_non_exhaustive()
    }
}

impl<S: Surrogate> Fitness for Part<'_, S> {
    type Genotype = Genes;

    fn call_for_population(
        &mut self,
        population: &mut FitnessPopulation<Self>,
        _genotype: &Genes,
        _thread_local: Option<&ThreadLocal<RefCell<Self>>>,
        _cache: Option<&FitnessCache>,
    ) {
        let before = std::mem::take(&mut *self.known());
        let problem = self.problem;
        let predicted: Vec<(Genome, Prediction)> = population
            .chromosomes
            .par_iter()
            .map(|chromosome| {
                let genome = problem.space.canonical(chromosome.genes.clone());
                let prediction = before.get(&genome).copied().unwrap_or_else(|| problem.predict(&genome));
                (genome, prediction)
            })
            .collect();
        for (chromosome, (_, prediction)) in population.chromosomes.iter_mut().zip(&predicted) {
            let fits = problem.fits(prediction);
            chromosome.set_fitness_score(fits.then(|| fitness_score(prediction.damage, 1e-9)).flatten());
        }
        self.known().extend(predicted);
    }

    fn calculate_for_chromosome(&mut self, chromosome: &Chromosome<u16>, _: &Genes) -> Option<FitnessValue> {
        let prediction = self.problem.predict(&self.problem.space.canonical(chromosome.genes.clone()));
        fitness_score(prediction.damage, 1e-9)
    }
}

impl<S: Surrogate> Mutate for Part<'_, S> {
    type Genotype = Genes;

    fn call<R: Rng, SR: StrategyReporter<Genotype = Genes>>(
        &mut self,
        genotype: &Genes,
        state: &mut EvolveState<Genes>,
        _config: &EvolveConfig,
        _reporter: &mut SR,
        generator: &mut R,
    ) {
        for child in state.population.chromosomes.iter_mut().filter(|chromosome| chromosome.is_offspring()) {
            let genome = self.problem.space.canonical(child.genes.clone());
            child.genes = vary(self.problem, self.aim, genome, generator).levels().to_vec();
            child.reset_metadata(genotype.genes_hashing);
        }
    }
}

impl<S: Surrogate> Select for Part<'_, S> {
    type Genotype = Genes;

    fn call<R: Rng, SR: StrategyReporter<Genotype = Genes>>(
        &mut self,
        _genotype: &Genes,
        state: &mut EvolveState<Genes>,
        config: &EvolveConfig,
        _reporter: &mut SR,
        generator: &mut R,
    ) {
        let all: Vec<(Genome, Prediction)> = self.known().iter().map(|(g, p)| (g.clone(), *p)).collect();
        let kept = select(self.problem, self.aim, all, config.target_population_size);
        let mut chromosomes = std::mem::take(&mut state.population.chromosomes);
        chromosomes.sort_by(|a, b| a.genes.cmp(&b.genes));
        chromosomes.dedup_by(|a, b| a.genes == b.genes);
        chromosomes.retain(|chromosome| kept.iter().any(|(genome, _)| genome.levels() == chromosome.genes));
        state.population.chromosomes = chromosomes;
        // crossover pairs neighbours
        state.population.shuffle(generator);
    }
}
