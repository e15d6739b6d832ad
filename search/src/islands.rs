//! Several populations that evolve apart and now and then send their best to their neighbours.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rayon::prelude::*;

use crate::evolution::evolve;
use crate::polish::polish;
use crate::problem::Problem;
use crate::repair::repair;
use crate::selection::{Aim, select};
use crate::{Genome, Prediction, Settings, Surrogate};

/// How many of its best an island sends to each neighbour.
const MIGRANTS: usize = 2;

/// The populations, each best first.
pub(crate) struct Islands<'s> {
    settings: &'s Settings,
    neighbours: Vec<Vec<usize>>,
    populations: Vec<Vec<Genome>>,
    epoch: u64,
}

impl<'s> Islands<'s> {
    /// The first seeds go to the islands after the answer, the last ones to those after the front; random plans, brought within budgets, fill them up.
    pub fn settle<S: Surrogate>(problem: Problem<'_, S>, settings: &'s Settings, seeds: &[Genome]) -> Self {
        let neighbours = settings.graph.neighbours(settings.islands, settings.seed);
        let mut islands = Self { settings, neighbours, populations: Vec::new(), epoch: 0 };
        let number = settings.islands;
        islands.populations = (0..number)
            .into_par_iter()
            .map(|island| {
                let mut generator = SmallRng::seed_from_u64(islands.seed_of(island));
                let most = settings.population / 2;
                let mut population: Vec<Genome> = match Self::aim(problem, island) {
                    Aim::Answer => seeds.iter().skip(island).step_by(number).take(most).cloned().collect(),
                    Aim::Front => seeds.iter().rev().take(most).cloned().collect(),
                };
                population.resize_with(settings.population, || random_within(problem, &mut generator));
                population
            })
            .collect();
        islands
    }

    /// Every second island looks for the whole front, if there is anything but damage to look at.
    fn aim<S: Surrogate>(problem: Problem<'_, S>, island: usize) -> Aim {
        if island % 2 == 1 && !problem.surrogate.quantities().is_empty() { Aim::Front } else { Aim::Answer }
    }

    /// Different for every island and epoch. (The odd constants of SplitMix64 spread neighbouring numbers.)
    fn seed_of(&self, island: usize) -> u64 {
        let mixed = self.settings.seed.wrapping_add(self.epoch.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed.wrapping_add((island as u64 + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9))
    }

    /// Generations on every island, the best of those after the answer improved by exchanges, then migration.
    pub fn advance<S: Surrogate>(&mut self, problem: Problem<'_, S>) {
        self.epoch += 1;
        let settings = self.settings;
        let all: Vec<usize> = (0..problem.space.len()).collect();
        self.populations = (0..self.populations.len())
            .into_par_iter()
            .map(|island| {
                let (aim, size) = (Self::aim(problem, island), settings.population);
                let population = &self.populations[island];
                let seed = self.seed_of(island);
                let evolved = evolve(problem, aim, population, size, settings.generations, seed);
                let mut evolved: Vec<Genome> = evolved.into_iter().map(|(genome, _)| genome).collect();
                if aim == Aim::Answer && !evolved.is_empty() {
                    let mut position = problem.at(evolved[0].clone());
                    if position.fits() {
                        polish(&mut position, &all, self.seed_of(island) as usize, settings.effort);
                        evolved.insert(0, position.genome);
                    }
                }
                evolved
            })
            .collect();
        self.migrate();
    }

    /// All at once: what is sent is what was there before anything arrived.
    fn migrate(&mut self) {
        let sent: Vec<Vec<Genome>> =
            self.populations.iter().map(|plans| plans.iter().take(MIGRANTS).cloned().collect()).collect();
        for (population, neighbours) in self.populations.iter_mut().zip(&self.neighbours) {
            for &neighbour in neighbours {
                population.extend(sent[neighbour].iter().cloned());
            }
        }
    }

    /// A plan that arrives on every island.
    pub fn welcome(&mut self, genome: &Genome) {
        for population in &mut self.populations {
            population.push(genome.clone());
        }
    }

    /// Every plan alive that keeps the budgets, least damage first.
    pub fn fitting<S: Surrogate>(&self, problem: Problem<'_, S>) -> Vec<(Genome, Prediction)> {
        let mut alive: Vec<&Genome> = self.populations.iter().flatten().collect();
        alive.sort_unstable();
        alive.dedup();
        let predicted: Vec<(Genome, Prediction)> =
            alive.into_par_iter().map(|genome| (genome.clone(), problem.predict(genome))).collect();
        let fitting = predicted.into_iter().filter(|(_, prediction)| problem.fits(prediction)).collect();
        select(problem, Aim::Answer, fitting, usize::MAX)
    }
}

/// A random plan, repaired; as near as it gets where repair does not get there.
pub(crate) fn random_within<S: Surrogate>(problem: Problem<'_, S>, generator: &mut SmallRng) -> Genome {
    let all: Vec<usize> = (0..problem.space.len()).collect();
    let mut position = problem.at(problem.space.random(generator));
    repair(&mut position, &[], &all);
    position.genome
}
