//! What a matrix would lose in each type that is legal for it.

use candle_core::{Device, Tensor};
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, Role, TensorId, TensorType, dequantize_row};

use super::{Choice, MatrixOptions, bytes_in_file, candidates};
use crate::CompressError;
use crate::forward::{ForwardError, with_values};
use crate::gradient::{LayerFactors, OutputFactors};
use crate::rounding::USUAL_DAMPING;
use crate::statistics::{InputMoments, Statistics};
use secateur_quantize::QuantizeError;
use secateur_quantize::feedback::{Problem, round_matrix};

/// Rows of a matrix that are rounded to see what a type would lose.
const SAMPLED_ROWS: usize = 128;

/// Rows of an embedding: tokens differ more than features do.
const SAMPLED_TOKENS: usize = 1024;

/// The options of the matrices of a layer.
///
/// A change `Δ` of a matrix moves the predictions by about `1/2 Σ_o E[g_o²] (Δ H Δᵀ)_oo` nats per token, `g` the gradient at its outputs and `H`
/// the second moments of its inputs, weighted by `|g|²`. `Δ` is what rounding with feedback under the plain moments leaves on a sample of
/// rows, drawn by `E[g_o²]`.
///
/// # Errors
/// If statistics or weights cannot be read, or second moments weigh nothing.
pub fn options_of_layer(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    layer: usize,
    factors: &LayerFactors,
) -> Result<Vec<MatrixOptions>, CompressError> {
    let seen = statistics.layer(layer)?;
    let mut options = Vec::new();
    for (site, moments) in seen.sites() {
        let second = moments.second();
        let weighted = factors.weighted_inputs(site).map(InputMoments::second);
        let judge = weighted.as_deref().unwrap_or(&second);
        for &role in site.roles() {
            let id = TensorId::in_layer(layer, role);
            let weights = factors.diagonal(role).unwrap_or_default();
            options.push(of_matrix(checkpoint, id, &second, judge, weights, SAMPLED_ROWS)?);
        }
    }
    Ok(options)
}

/// The options of the token embedding, and of the output matrix if it is another.
///
/// # Errors
/// If weights cannot be read, or second moments weigh nothing.
pub fn options_of_vocabulary(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    factors: &OutputFactors,
) -> Result<Vec<MatrixOptions>, CompressError> {
    let roles = [Role::TokenEmbedding, Role::Output].into_iter();
    let roles = roles.filter(|&role| checkpoint.spec.shape(TensorId::global(role)).is_some());
    let of_role = |role| {
        let second = vocabulary_second(checkpoint, factors, role);
        let weights = vocabulary_weights(checkpoint, statistics, factors, role);
        of_matrix(checkpoint, TensorId::global(role), &second, &second, &weights, SAMPLED_TOKENS)
    };
    roles.map(of_role).collect()
}

/// What errors in the rows of an embedding or output matrix are weighed by, `[hidden, hidden]`: as output, by the states that are
/// multiplied with them, where the prediction is uncertain; as input, by the gradient where the layers begin.
pub fn vocabulary_second(checkpoint: &Checkpoint, factors: &OutputFactors, role: Role) -> Vec<f32> {
    let spec = &checkpoint.spec;
    let hidden_size = spec.hidden_size;
    let mut second = if is_output(checkpoint, role) {
        factors.output_inputs().to_vec()
    } else {
        vec![0.0; hidden_size * hidden_size]
    };
    if role == Role::TokenEmbedding {
        let scale = spec.embedding_scale * spec.embedding_scale;
        let gradients = factors.of(TensorId::global(role)).unwrap_or_default();
        for (entry, gradient) in second.iter_mut().step_by(hidden_size + 1).zip(gradients) {
            *entry += gradient * scale;
        }
    }
    second
}

fn is_output(checkpoint: &Checkpoint, role: Role) -> bool {
    role == Role::Output || checkpoint.spec.tied_embeddings
}

/// How much the rows of a vocabulary count, `[vocabulary]`, summing to 1: how often they are predicted, how often they are read.
fn vocabulary_weights(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    factors: &OutputFactors,
    role: Role,
) -> Vec<f32> {
    let counts: Vec<f32> = statistics.token_counts().into_iter().map(|count| count as f32).collect();
    let shares = |weights: &[f32]| {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        weights.iter().map(|&weight| (f64::from(weight) / total.max(f64::MIN_POSITIVE)) as f32).collect()
    };
    let (read, predicted): (Vec<f32>, Vec<f32>) = (shares(&counts), shares(factors.logit_factors()));
    match (role, is_output(checkpoint, role)) {
        (Role::TokenEmbedding, true) => read.iter().zip(&predicted).map(|(a, b)| (a + b) / 2.0).collect(),
        (Role::TokenEmbedding, false) => read,
        _ => predicted,
    }
}

/// `second` is what rounding goes by and `judge` what its errors are weighed by, both `[in_features, in_features]`; `weights` is
/// `[out_features]`.
fn of_matrix(
    checkpoint: &Checkpoint,
    id: TensorId,
    second: &[f32],
    judge: &[f32],
    weights: &[f32],
    sampled: usize,
) -> Result<MatrixOptions, CompressError> {
    let rows = checkpoint.tensor(id)?;
    let width = rows.row_len();
    let problem = Problem::new(second, width, USUAL_DAMPING)
        .map_err(|source| CompressError::Moments { tensor: name_of(checkpoint, id), source })?;
    let sample = read_sample(&rows, &sample(weights, rows.rows(), sampled))?;
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let mut choices = Vec::new();
    for tensor_type in candidates().filter(|candidate| candidate.is_legal_for(width)) {
        let loss = mean_loss(tensor_type, &sample, &problem, judge)
            .map_err(|source| source.of_tensor(checkpoint, id))?;
        choices.push(Choice {
            tensor_type,
            // the row length is legal for the type
            bytes: bytes_in_file(tensor_type, rows.rows(), width).unwrap_or_default(),
            damage: 0.5 * total * loss,
        });
    }
    Ok(MatrixOptions { id, choices })
}

fn name_of(checkpoint: &Checkpoint, id: TensorId) -> String {
    checkpoint.spec.family.table().gguf_name(id).unwrap_or_default()
}

/// Rows drawn by weight, at even steps of the running sum: the mean over them is the weighted mean over all.
fn sample(weights: &[f32], rows: usize, count: usize) -> Vec<usize> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let count = count.min(rows);
    if total <= 0.0 || weights.len() != rows {
        return (0..count).map(|index| index * rows / count).collect();
    }
    let mut drawn = Vec::with_capacity(count);
    let mut running = 0.0;
    for (row, &weight) in weights.iter().enumerate() {
        running += f64::from(weight);
        while drawn.len() < count && (drawn.len() as f64 + 0.5) / (count as f64) * total <= running {
            drawn.push(row);
        }
    }
    drawn.resize(count, rows - 1);
    drawn
}

/// `[sampled, width]`
fn read_sample(rows: &TensorRows, sample: &[usize]) -> Result<Vec<f32>, CompressError> {
    let width = rows.row_len();
    let mut values = vec![0.0; sample.len() * width];
    for (&row, values) in sample.iter().zip(values.chunks_exact_mut(width)) {
        rows.read(row..row + 1, values)?;
    }
    Ok(values)
}

/// What can go wrong while a sample is rounded.
enum SampleError {
    Quantize(QuantizeError),
    Forward(ForwardError),
    Model(secateur_model::DequantizeError),
}

impl SampleError {
    fn of_tensor(self, checkpoint: &Checkpoint, id: TensorId) -> CompressError {
        let tensor = name_of(checkpoint, id);
        match self {
            Self::Quantize(source) => CompressError::Quantize { tensor, source },
            Self::Forward(source) => source.into(),
            Self::Model(source) => secateur_model::ModelError::Dequantize { tensor, source }.into(),
        }
    }
}

/// The mean of `Δ H Δᵀ` over the rows of a sample, `[sampled, width]`.
fn mean_loss(
    tensor_type: TensorType,
    sample: &[f32],
    problem: &Problem,
    second: &[f32],
) -> Result<f64, SampleError> {
    let width = problem.width();
    let rows = sample.len() / width;
    let bytes = round_matrix(tensor_type, sample, problem, 0).map_err(SampleError::Quantize)?;
    let mut error = vec![0.0; sample.len()];
    dequantize_row(tensor_type, &bytes, &mut error).map_err(SampleError::Model)?;
    for (error, wanted) in error.iter_mut().zip(sample) {
        *error -= wanted;
    }
    let product = |error: &[f32]| -> candle_core::Result<f64> {
        let error = Tensor::from_slice(error, (rows, width), &Device::Cpu)?;
        let weighted = error.matmul(&Tensor::from_slice(second, (width, width), &Device::Cpu)?)?;
        with_values(&weighted, |weighted| {
            with_values(&error, |error| {
                error.iter().zip(weighted).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
            })
        })?
    };
    let sum = product(&error).map_err(|source| SampleError::Forward(source.into()))?;
    Ok((sum / rows as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_follows_the_weights() {
        let drawn = sample(&[0.0, 3.0, 1.0, 0.0], 4, 4);
        assert_eq!(drawn, [1, 1, 1, 2]);
        // nothing is known: evenly
        assert_eq!(sample(&[0.0; 8], 8, 4), [0, 2, 4, 6]);
        assert_eq!(sample(&[1.0; 3], 3, 9), [0, 1, 2]);
    }
}
