//! Which hidden dimensions stay, the same ones in all layers.

use rayon::prelude::*;
use secateur_model::shape::KeptLayer;
use secateur_model::{Checkpoint, Kept, Role, TensorId};

use super::ShapeRequestError;
use super::choose::stay;
use super::importance::Importance;
use super::obs::{Singular, inverse_diagonal};
use super::squares::{column_squares, row_squares};
use crate::CompressError;
use crate::forward::Site;
use crate::progress::Progress;
use crate::statistics::{InputMoments, Statistics};

/// Where hidden states are read, and the matrix that ends the part and adds to them.
const READ: [(Site, Role); 2] =
    [(Site::AttentionInput, Role::AttentionOutput), (Site::FfnInput, Role::FfnDown)];

/// The `asked` dimensions that stay: those without which all that read them lose most. What the matrices of a site lose, and the output matrix, is told as
/// a share of all that they give, so that sites of different sizes count alike. Dimensions are judged one by one.
///
/// # Errors
/// If statistics or weights cannot be read, or the user interrupts.
pub(super) fn choose_hidden(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    layers: &[KeptLayer],
    importance: Importance,
    asked: usize,
    progress: &dyn Progress,
) -> Result<Kept, CompressError> {
    progress.begin("choosing hidden dimensions", layers.len() as u64 + 1);
    let tied = checkpoint.spec.tied_embeddings;
    let output = TensorId::global(if tied { Role::TokenEmbedding } else { Role::Output });
    let width = checkpoint.spec.hidden_size;
    let read = column_squares(checkpoint, &[output], width)?;
    let mut worth = shares(&read, &vec![0.0; width], &statistics.output()?, importance)
        .map_err(|source| ShapeRequestError::SingularOutput { source })?;
    progress.advance(1);

    let of_layer = |kept: &KeptLayer| {
        progress.check()?;
        let seen = statistics.layer(kept.layer)?;
        let in_layer = |role| TensorId::in_layer(kept.layer, role);
        let mut of_sites = Vec::new();
        for (site, adds) in READ {
            let Some(moments) = seen.site(site) else { continue };
            let readers: Vec<TensorId> = site.roles().iter().map(|&role| in_layer(role)).collect();
            let (read, added) =
                (column_squares(checkpoint, &readers, width)?, row_squares(checkpoint, in_layer(adds))?);
            let shares = shares(&read, &added, moments, importance);
            of_sites
                .push(shares.map_err(|source| ShapeRequestError::Singular { layer: kept.layer, source })?);
        }
        progress.advance(1);
        Ok(of_sites)
    };
    let of_layers: Vec<Vec<Vec<f64>>> =
        layers.par_iter().map(of_layer).collect::<Result<_, CompressError>>()?;
    for shares in of_layers.iter().flatten() {
        worth.iter_mut().zip(shares).for_each(|(worth, share)| *worth += share);
    }
    let mut order: Vec<u32> = (0..worth.len() as u32).collect();
    order.sort_by(|&a, &b| worth[a as usize].total_cmp(&worth[b as usize]).then(a.cmp(&b)));
    Ok(stay(worth.len(), &order[..worth.len() - asked]))
}

/// What the matrices that read a site lose without each of its dimensions, as a share of what they give, `[hidden]`. `read` are their squared weights
/// of each dimension, `added` those of the matrix that adds to it.
fn shares(
    read: &[f64],
    added: &[f32],
    moments: &InputMoments,
    importance: Importance,
) -> Result<Vec<f64>, Singular> {
    let squares = moments.diagonal();
    let given: Vec<f64> = read.iter().zip(&squares).map(|(read, &x)| read * f64::from(x)).collect();
    let lost: Vec<f64> = match importance {
        Importance::Magnitude => {
            read.iter().zip(added).map(|(read, &added)| read + f64::from(added)).collect()
        }
        Importance::Activation | Importance::Taylor => given.clone(),
        Importance::Flap => {
            let means = moments.mean().iter().map(|&mean| f64::from(mean).powi(2));
            let varying = squares.iter().zip(means).map(|(&x, mean)| (f64::from(x) - mean).max(0.0));
            read.iter().zip(varying).map(|(read, varying)| read * varying).collect()
        }
        Importance::Obs => {
            let inverse = inverse_diagonal(&moments.second(), read.len())?;
            read.iter().zip(inverse).map(|(read, inverse)| read / inverse).collect()
        }
    };
    let all = if importance == Importance::Magnitude { &lost } else { &given };
    let total = all.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    Ok(lost.iter().map(|lost| lost / total).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_importance_sees_what_it_is_about() {
        // three dimensions: a large constant, one that varies, and one that the second tells
        let second = [4.0, 0.0, 0.0, 0.0, 1.0, 0.99, 0.0, 0.99, 1.0];
        let triangle = [4.0, 0.0, 0.0, 1.0, 0.99, 1.0];
        let moments = InputMoments::new(10, triangle.to_vec(), vec![2.0, 0.0, 0.0]);
        assert_eq!(moments.second(), second);
        let added = [0.0, 3.0, 0.0];
        let least = |importance, read: [f64; 3]| {
            let shares = shares(&read, &added, &moments, importance).unwrap();
            (0..3).min_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap()
        };
        assert_eq!(least(Importance::Magnitude, [1.0, 1.0, 1.5]), 0);
        assert_eq!(least(Importance::Activation, [1.0, 1.0, 1.5]), 1);
        assert_eq!(least(Importance::Flap, [1.0, 1.0, 1.5]), 0);
        // that it gives least says nothing where another can be told from its neighbour
        assert_eq!(least(Importance::Activation, [0.2, 1.0, 1.5]), 0);
        assert_eq!(least(Importance::Obs, [0.2, 1.0, 1.5]), 1);
        let shares = shares(&[1.0, 1.0, 1.5], &added, &moments, Importance::Activation).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
    }
}
