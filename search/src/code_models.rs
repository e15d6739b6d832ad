//! Encoders trained from nothing to a target size: the space and objective of "Compressing Pre-trained Models of Code into 3 MB".
//!
//! The paper maximizes `GFLOPs - |target - parameters| × 4 / 10⁶`: the most arithmetic in the wanted number of float32 megabytes. Its formulas are
//! kept as they were published, with what is odd about them: the embedding counts as a dense product, the norm after attention lacks the hidden
//! size, and heads change no parameters.

use crate::{Costs, Genome, Prediction, SearchError, Space, Surrogate, Unit};

/// Shape of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderShape {
    /// Tokens of the vocabulary.
    pub vocabulary: u64,
    /// Attention heads.
    pub heads: u64,
    /// Hidden size.
    pub hidden: u64,
    /// Width of the feed-forward part.
    pub ffn: u64,
    /// Layers.
    pub layers: u64,
}

/// Tokens of a text, as in the paper.
const SEQUENCE: u64 = 514;

impl EncoderShape {
    /// Parameters of the classifier, by the paper's formula.
    pub fn parameters(&self) -> u64 {
        let (h, i, v) = (self.hidden, self.ffn, self.vocabulary);
        let embedding = v * h + SEQUENCE * h + 3 * h;
        let attention = 4 * (h * h + h);
        let block = attention + 2 * h * i + i + h + 4 * h;
        let classifier = 2 * (h * h + h) + 2 * h + 2;
        embedding + self.layers * block + classifier
    }

    /// Operations for one text, by the paper's formula.
    pub fn flops(&self) -> u64 {
        const DROPOUT: u64 = 4;
        const NORM: u64 = 5;
        const ACTIVATION: u64 = 8;
        const SOFTMAX: u64 = 5;
        let (h, i, s) = (self.hidden, self.ffn, SEQUENCE);
        let projections = 3 * 2 * h * h + 3 * h;
        let scores = 2 * h * s + (SOFTMAX + DROPOUT + 1) * s * self.heads + 2 * h * s;
        let output = 2 * h * h + h + DROPOUT * h + h + NORM;
        let feed_forward = 2 * h * i + ACTIVATION * i + i + 2 * h * i + h + DROPOUT * h + h + NORM * h;
        let block = projections + scores + output + feed_forward;
        let embedding = 2 * h * self.vocabulary + 2 * h * (s + 2) + 2 * h + NORM * h + DROPOUT * h;
        let classifier = 2 * h * h + h + (DROPOUT + ACTIVATION) * h + 2 * h;
        (self.layers * block + embedding + classifier) * s
    }

    /// What the paper maximizes, for a target of so many parameters.
    pub fn objective(&self, target: u64) -> f64 {
        self.flops() as f64 / 1e9 - target.abs_diff(self.parameters()) as f64 * 4.0 / 1e6
    }
}

/// The paper's 10,944,000 shapes and its objective for one target.
#[derive(Debug, Clone)]
pub struct CodeModels {
    space: Space,
    target: u64,
}

/// First value, step and number of values of vocabulary, hidden size, FFN width and layers; heads are powers of two.
const VOCABULARY: (u64, u64, usize) = (1000, 1000, 50);
const HEADS: usize = 4;
const HIDDEN: (u64, u64, usize) = (16, 16, 48);
const FFN: (u64, u64, usize) = (32, 32, 95);
const LAYERS: (u64, u64, usize) = (1, 1, 12);

impl CodeModels {
    /// For models of so many megabytes (10⁶ bytes) in float32.
    ///
    /// # Errors
    /// None that can be met: the space is a constant.
    pub fn new(megabytes: f64) -> Result<Self, SearchError> {
        let unit = |name: &str, levels: usize| Unit::new(name, name, levels);
        let space = Space::new(vec![
            unit("vocabulary", VOCABULARY.2),
            unit("heads", HEADS),
            unit("hidden", HIDDEN.2),
            unit("ffn", FFN.2),
            unit("layers", LAYERS.2),
        ])?;
        Ok(Self { space, target: (megabytes * 1e6 / 4.0) as u64 })
    }

    /// All shapes.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Parameters aimed at.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// The shape that a plan means.
    pub fn shape(&self, genome: &Genome) -> EncoderShape {
        let value =
            |unit: usize, (first, step, _): (u64, u64, usize)| first + step * genome.level(unit) as u64;
        EncoderShape {
            vocabulary: value(0, VOCABULARY),
            heads: 1 << genome.level(1),
            hidden: value(2, HIDDEN),
            ffn: value(3, FFN),
            layers: value(4, LAYERS),
        }
    }
}

impl Surrogate for CodeModels {
    type State = ();

    fn quantities(&self) -> &[String] {
        &[]
    }

    fn state(&self, _: &Genome) {}

    fn predict(&self, genome: &Genome) -> Prediction {
        Prediction { damage: -self.shape(genome).objective(self.target), costs: Costs::new(&[]) }
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::{Budgets, Preset, Search};

    #[test]
    fn formulas_are_those_of_the_paper() {
        // flops.py of the paper's code, run for its default (CodeBERT) and for the 3 MB model of its README
        let roberta = EncoderShape { vocabulary: 50265, heads: 12, hidden: 768, ffn: 3072, layers: 12 };
        assert_eq!((roberta.parameters(), roberta.flops()), (125237762, 138406299384));
        let small = EncoderShape { vocabulary: 1000, heads: 8, hidden: 96, ffn: 64, layers: 12 };
        assert_eq!((small.parameters(), small.flops()), (765410, 2253176568));
    }

    /// The best of all 10,944,000 shapes.
    fn brute_force(models: &CodeModels) -> f64 {
        let shapes = (0..VOCABULARY.2 * HEADS * HIDDEN.2).into_par_iter().map(|index| {
            let (vocabulary, rest) = (index % VOCABULARY.2, index / VOCABULARY.2);
            let (heads, hidden) = (rest % HEADS, rest / HEADS);
            let rest = (0..FFN.2).flat_map(|ffn| (0..LAYERS.2).map(move |layers| (ffn, layers)));
            rest.map(|(ffn, layers)| {
                let shape = EncoderShape {
                    vocabulary: VOCABULARY.0 + VOCABULARY.1 * vocabulary as u64,
                    heads: 1 << heads,
                    hidden: HIDDEN.0 + HIDDEN.1 * hidden as u64,
                    ffn: FFN.0 + FFN.1 * ffn as u64,
                    layers: LAYERS.0 + LAYERS.1 * layers as u64,
                };
                shape.objective(models.target)
            })
            .fold(f64::NEG_INFINITY, f64::max)
        });
        shapes.reduce(|| f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn the_global_optimum_is_found_at_every_target() {
        for megabytes in [3.0, 25.0, 50.0] {
            let models = CodeModels::new(megabytes).unwrap();
            let optimum = brute_force(&models);
            let found = (0..10).filter(|&seed| {
                let budgets = Budgets::new(&[], &[]).unwrap();
                let search =
                    Search::new(models.space(), &models, budgets, Preset::Balanced.settings(seed)).unwrap();
                models.shape(&search.explore().unwrap().best.genome).objective(models.target) == optimum
            });
            let found = found.count();
            assert!(found >= 9, "{megabytes} MB: the optimum {optimum} was found by {found} of 10 seeds");
        }
    }
}
