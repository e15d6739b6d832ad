//! How hard to search.

use crate::{Graph, SearchError};

/// Numbers of a search; [`Preset::settings`] has sensible ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Same seed, same result.
    pub seed: u64,
    /// Populations that evolve apart, at least 1.
    pub islands: usize,
    /// Plans on each island, at least 4.
    pub population: usize,
    /// Generations between two migrations, at least 1.
    pub generations: usize,
    /// Migrations before the first round of measurement; in [`crate::Search::explore`], until so many bring nothing better. At least 1.
    pub epochs: usize,
    /// Who exchanges plans.
    pub graph: Graph,
    /// Predictions that improving one plan by exchanges may take.
    pub effort: usize,
    /// Plans that a round of measurement begins with, at least 2.
    pub contenders: usize,
    /// On how many chunks plans are compared first, second and so on; all chunks come last.
    pub rungs: Vec<usize>,
    /// Rounds without a better plan after which a search without a limit has settled, at least 1.
    pub patience: usize,
}

/// How much time to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// Good answers in the least time.
    Fast,
    /// What most should use.
    #[default]
    Balanced,
    /// When time matters less.
    Thorough,
}

impl Preset {
    /// The numbers behind the word.
    pub fn settings(self, seed: u64) -> Settings {
        let spatial = Graph::Spatial { reach: 0.3, long_range: 0.2 };
        let (islands, population, generations, epochs, graph) = match self {
            Self::Fast => (2, 24, 8, 3, Graph::Complete),
            Self::Balanced => (4, 32, 12, 6, spatial),
            Self::Thorough => (8, 64, 20, 10, spatial),
        };
        let (effort, contenders, patience) = match self {
            Self::Fast => (100_000, 8, 3),
            Self::Balanced => (400_000, 16, 5),
            Self::Thorough => (2_000_000, 32, 10),
        };
        let rungs = vec![1, 4, 16];
        Settings {
            seed,
            islands,
            population,
            generations,
            epochs,
            graph,
            effort,
            contenders,
            rungs,
            patience,
        }
    }
}

impl Settings {
    /// # Errors
    /// A number below the least that works.
    pub(crate) fn check(&self) -> Result<(), SearchError> {
        let numbers = [
            ("islands", self.islands, 1),
            ("population", self.population, 4),
            ("generations", self.generations, 1),
            ("epochs", self.epochs, 1),
            ("contenders", self.contenders, 2),
            ("patience", self.patience, 1),
        ];
        match numbers.into_iter().find(|(_, found, least)| found < least) {
            Some((setting, found, least)) => Err(SearchError::Setting { setting, found, least }),
            None => Ok(()),
        }
    }
}
