//! What units of a layer are worth: groups of channels that one output projection reads.

use std::fmt;
use std::str::FromStr;

use super::obs;

/// How the worth of heads and channels is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// The squared weights that would go ("Learning both Weights and Connections for Efficient Neural Networks").
    Magnitude,
    /// What the output projection makes of them: `E[x²] |w|²`, with `w` the column of `x` ("A Simple and Effective Pruning Approach for Large
    /// Language Models").
    Activation,
    /// As activation, of what varies only, since a constant can go into a bias: `Var[x] |w|²` ("Fluctuation-based Adaptive Structured
    /// Pruning for Large Language Models").
    Flap,
    /// As activation, with outputs weighed by how much the predictions depend on them: `E[x²] Σ_o E[g_o²] w_o²`, the first-order change of
    /// the loss squared, outputs taken as independent ("Importance Estimation for Neural Network Pruning").
    Taylor,
    /// What is lost when everything else makes up for it as well as it can: `tr(W_S ([H⁻¹]_SS)⁻¹ W_Sᵀ)`, one group after the other
    /// ("Second order derivatives for network pruning: Optimal Brain Surgeon"; in groups: "ZipLM").
    Obs,
}

impl Importance {
    /// All, from the plainest.
    pub const ALL: [Self; 5] = [Self::Magnitude, Self::Activation, Self::Flap, Self::Taylor, Self::Obs];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Magnitude => "magnitude",
            Self::Activation => "activation",
            Self::Flap => "flap",
            Self::Taylor => "taylor",
            Self::Obs => "obs",
        }
    }

    /// Whether its worth can be told in changes of the predictions, so that layers can be compared.
    pub fn is_of_predictions(self) -> bool {
        matches!(self, Self::Taylor | Self::Obs)
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such importance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no importance; known are magnitude, activation, flap, taylor and obs")]
pub struct ImportanceError {
    found: String,
}

impl FromStr for Importance {
    type Err = ImportanceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|importance| importance.name() == name);
        known.ok_or_else(|| ImportanceError { found: name.to_owned() })
    }
}

/// An output projection, what it reads, and what makes that.
#[derive(Debug, Clone, Copy)]
pub struct Projection<'a> {
    /// `[out_features, width]`
    pub weights: &'a [f32],
    /// `E[x xᵀ]` of its inputs, `[width, width]`
    pub second: &'a [f32],
    /// `E[x]`, `[width]`
    pub mean: &'a [f32],
    /// The squared weights that make each input, `[width]`.
    pub made_by: &'a [f32],
    /// `E[g²]` at each output, `[out_features]`; empty where it is not known: all count alike.
    pub outputs: &'a [f32],
}

impl Projection<'_> {
    /// Features of its input.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// `Σ_o weight_o w_oj²` of each column, `[width]`.
    fn column_squares(&self, weighted: bool) -> Vec<f64> {
        let mut squares = vec![0.0; self.width()];
        for (output, row) in self.weights.chunks_exact(self.width()).enumerate() {
            let weight = if weighted { self.outputs.get(output).map_or(1.0, |&g| f64::from(g)) } else { 1.0 };
            for (square, &value) in squares.iter_mut().zip(row) {
                *square += weight * f64::from(value) * f64::from(value);
            }
        }
        squares
    }

    fn diagonal(&self, index: usize) -> f64 {
        f64::from(self.second[index * (self.width() + 1)])
    }

    /// The worth of each input by itself, `[width]`.
    fn scores(&self, importance: Importance) -> Vec<f64> {
        let squares = self.column_squares(importance == Importance::Taylor);
        let score = |(index, square): (usize, &f64)| match importance {
            Importance::Magnitude => square + f64::from(self.made_by[index]),
            Importance::Activation | Importance::Taylor | Importance::Obs => self.diagonal(index) * square,
            Importance::Flap => {
                let mean = f64::from(self.mean[index]);
                (self.diagonal(index) - mean * mean).max(0.0) * square
            }
        };
        squares.iter().enumerate().map(score).collect()
    }
}

/// Single inputs in the order in which they should go, at least `count`, and what is lost once each and all before it are gone.
///
/// # Errors
/// If second moments weigh nothing.
pub fn drop_losses(
    projection: &Projection,
    importance: Importance,
    count: usize,
) -> Result<obs::DropOrder, obs::Singular> {
    if importance == Importance::Obs {
        return obs::drop_order(projection, 1, count);
    }
    let scores = projection.scores(importance);
    let units = drop_order(projection, importance, 1, count)?;
    let losses = units.iter().scan(0.0, |loss, &unit| {
        *loss += scores[unit as usize];
        Some(*loss)
    });
    Ok(obs::DropOrder { losses: losses.collect(), units })
}

/// Units of `unit` neighbouring inputs in the order in which they should go, at least the first `count`: what is worth least goes first.
///
/// # Errors
/// If second moments weigh nothing.
pub fn drop_order(
    projection: &Projection,
    importance: Importance,
    unit: usize,
    count: usize,
) -> Result<Vec<u32>, obs::Singular> {
    if importance == Importance::Obs {
        return Ok(obs::drop_order(projection, unit, count)?.units);
    }
    let scores: Vec<f64> =
        projection.scores(importance).chunks_exact(unit).map(|unit| unit.iter().sum()).collect();
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(a.cmp(&b)));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three inputs: one large and constant, one that varies, one that nothing comes of.
    fn projection() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let weights = vec![1.0, 1.0, 0.0, 1.0, -1.0, 0.1];
        let second = vec![4.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 9.0];
        (weights, second, vec![2.0, 0.0, 0.0])
    }

    #[test]
    fn each_importance_sees_what_it_is_about() {
        let (weights, second, mean) = projection();
        let order = |importance, outputs: &[f32]| {
            let made_by = [0.0, 0.0, 5.0];
            let projection =
                Projection { weights: &weights, second: &second, mean: &mean, made_by: &made_by, outputs };
            drop_order(&projection, importance, 1, 3).unwrap()
        };
        assert_eq!(order(Importance::Magnitude, &[]), [0, 1, 2]);
        assert_eq!(order(Importance::Activation, &[]), [2, 1, 0]);
        assert_eq!(order(Importance::Flap, &[]), [0, 2, 1]);
        // inputs do not go together: nothing can make up for them
        assert_eq!(order(Importance::Obs, &[]), [2, 1, 0]);
        // only the second output counts, and only the third input reaches it much more than the first output
        assert_eq!(order(Importance::Taylor, &[0.0, 1.0]), [2, 1, 0]);
    }
}
