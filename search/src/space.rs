//! What can be chosen: units, their levels, and which of them have no effect when another is at some level.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::SearchError;

/// One choice: a named unit with levels `0..levels`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// What the unit is called in reports, such as `layer 3 ffn_down type`.
    pub name: String,
    /// What units it is alike, such as `type`; corrections learn per kind.
    pub kind: String,
    /// How many levels it has.
    pub levels: usize,
    /// Units and their levels at which this unit has no effect.
    silent: Vec<(usize, usize)>,
}

impl Unit {
    /// A unit that always has an effect.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, levels: usize) -> Self {
        Self { name: name.into(), kind: kind.into(), levels, silent: Vec::new() }
    }

    /// Has no effect, and stands at level 0, whenever `unit` (which must come earlier in the space) is at `level`.
    #[must_use]
    pub fn silent_when(mut self, unit: usize, level: usize) -> Self {
        self.silent.push((unit, level));
        self
    }
}

/// A plan as levels, one for each unit of the space; silent units are at level 0, so that equal plans are equal genomes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Genome(Box<[u16]>);

impl Genome {
    /// The level of a unit.
    pub fn level(&self, unit: usize) -> usize {
        usize::from(self.0[unit])
    }

    /// Levels of all units, in the space's order.
    pub fn levels(&self) -> &[u16] {
        &self.0
    }

    /// How many units stand at other levels in `other`.
    pub fn distance(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a != b).count()
    }
}

impl fmt::Display for Genome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels: Vec<String> = self.0.iter().map(u16::to_string).collect();
        formatter.write_str(&levels.join(" "))
    }
}

/// All plans that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    units: Vec<Unit>,
    gates: Vec<bool>,
}

impl Space {
    /// # Errors
    /// No units, a unit without levels or with more than 65,535, or one silenced by something that is no level of an earlier unit.
    pub fn new(units: Vec<Unit>) -> Result<Self, SearchError> {
        if units.is_empty() {
            return Err(SearchError::EmptySpace);
        }
        let mut gates = vec![false; units.len()];
        for (index, unit) in units.iter().enumerate() {
            if unit.levels == 0 || unit.levels > usize::from(u16::MAX) {
                return Err(SearchError::Levels { unit: unit.name.clone(), levels: unit.levels });
            }
            for &(gate, level) in &unit.silent {
                if gate >= index || level >= units[gate].levels {
                    return Err(SearchError::Gate { unit: unit.name.clone(), gate, level });
                }
                gates[gate] = true;
            }
        }
        Ok(Self { units, gates })
    }

    /// The units, in order.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Never true: a space has at least one unit.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Whether a change of this unit can silence others.
    pub fn is_gate(&self, unit: usize) -> bool {
        self.gates[unit]
    }

    /// Whether a unit has no effect in a plan.
    pub fn is_silent(&self, unit: usize, levels: &[u16]) -> bool {
        self.units[unit].silent.iter().any(|&(gate, level)| usize::from(levels[gate]) == level)
    }

    /// The plan with these levels, silent units moved to level 0.
    ///
    /// # Errors
    /// Another number of levels than units, or a level that its unit does not have.
    pub fn genome(&self, levels: Vec<u16>) -> Result<Genome, SearchError> {
        if levels.len() != self.len() {
            return Err(SearchError::Length { expected: self.len(), found: levels.len() });
        }
        for (unit, &level) in self.units.iter().zip(&levels) {
            if usize::from(level) >= unit.levels {
                let (unit, last) = (unit.name.clone(), unit.levels - 1);
                return Err(SearchError::Level { unit, last, found: usize::from(level) });
            }
        }
        Ok(self.canonical(levels))
    }

    /// A plan drawn uniformly, level by level.
    pub fn random(&self, generator: &mut impl Rng) -> Genome {
        self.canonical(self.units.iter().map(|unit| generator.gen_range(0..unit.levels) as u16).collect())
    }

    /// The plan with one unit at another level; silenced units go to level 0.
    pub fn with(&self, genome: &Genome, unit: usize, level: usize) -> Genome {
        let mut levels = genome.0.to_vec();
        levels[unit] = level as u16;
        self.canonical(levels)
    }

    /// Levels that are in range already. A unit is silenced by earlier ones only, so one pass settles all.
    pub(crate) fn canonical(&self, mut levels: Vec<u16>) -> Genome {
        for unit in 0..levels.len() {
            if self.is_silent(unit, &levels) {
                levels[unit] = 0;
            }
        }
        Genome(levels.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn layered() -> Space {
        Space::new(vec![
            Unit::new("keep layer", "layer", 2),
            Unit::new("keep ffn", "ffn", 2).silent_when(0, 1),
            Unit::new("ffn type", "type", 5).silent_when(0, 1).silent_when(1, 1),
            Unit::new("head type", "type", 5),
        ])
        .unwrap()
    }

    #[test]
    fn plans_that_mean_the_same_are_the_same_genome() {
        let space = layered();
        let dropped = space.genome(vec![1, 1, 4, 2]).unwrap();
        assert_eq!(dropped.levels(), [1, 0, 0, 2]);
        assert_eq!(dropped, space.genome(vec![1, 0, 3, 2]).unwrap());
        assert_eq!(space.genome(vec![0, 1, 3, 2]).unwrap().levels(), [0, 1, 0, 2]);
    }

    #[test]
    fn drawn_and_changed_plans_are_canonical() {
        let space = layered();
        let mut generator = SmallRng::seed_from_u64(1);
        for _ in 0..1000 {
            let genome = space.random(&mut generator);
            let unit = generator.gen_range(0..space.len());
            let level = generator.gen_range(0..space.units()[unit].levels);
            for plan in [genome.clone(), space.with(&genome, unit, level)] {
                assert_eq!(plan, space.genome(plan.levels().to_vec()).unwrap());
            }
        }
    }

    #[test]
    fn contradictions_are_told_by_name() {
        let own = Unit::new("own", "type", 2).silent_when(0, 1);
        assert!(matches!(Space::new(vec![own]), Err(SearchError::Gate { gate: 0, .. })));
        assert!(matches!(Space::new(Vec::new()), Err(SearchError::EmptySpace)));
        let none = Space::new(vec![Unit::new("none", "type", 0)]);
        assert_eq!(
            none.unwrap_err().to_string(),
            "unit `none` has 0 levels; between 1 and 65535 are possible"
        );
        let space = layered();
        assert!(matches!(space.genome(vec![0]), Err(SearchError::Length { expected: 4, found: 1 })));
        assert!(matches!(space.genome(vec![0, 0, 5, 0]), Err(SearchError::Level { last: 4, found: 5, .. })));
    }
}
