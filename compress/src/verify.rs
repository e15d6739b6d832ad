//! Reads the written GGUF back and compares it with its source, tensor by tensor.

use std::path::Path;

use rayon::prelude::*;
use schemars::JsonSchema;
use secateur_model::plan::{Plan, TensorPlan};
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, Role, Rounding, TensorType};
use serde::{Deserialize, Serialize};

use crate::apply::{Ready, chunks};
use crate::progress::Progress;
use crate::rounding::RoundedStore;
use crate::{CompressError, VerificationError};

/// How far a written tensor is from its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TensorDistance {
    /// Its name in the GGUF.
    pub name: String,
    /// Sum of squared differences over the sum of squares of the source.
    pub relative_squared_error: f64,
}

/// Opens `path` anew and checks shapes, types and numbers against the plan and the source; matrices that were rounded beforehand byte
/// for byte.
///
/// # Errors
/// [`CompressError::Verification`] for the first thing that is not as meant.
pub fn verify(
    source: &Checkpoint,
    plan: &Plan,
    path: &Path,
    rounded: Option<&RoundedStore>,
    progress: &dyn Progress,
) -> Result<Vec<TensorDistance>, CompressError> {
    let unreadable = |error| VerificationError::Unreadable(Box::new(error));
    let written = Checkpoint::open(path).map_err(unreadable)?;
    let found = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if found != plan.gguf_bytes {
        return Err(VerificationError::Size { expected: plan.gguf_bytes, found }.into());
    }
    if !describes_the_same(source, &written) {
        return Err(VerificationError::Spec.into());
    }
    let mut ready = Ready::new(source, rounded);
    let compare = |tensor: &TensorPlan| {
        let rounded = ready.matrix(tensor)?;
        let limit = if rounded.is_some() { farthest(source, plan) } else { greatest_distance(tensor) };
        compare(source, &written, tensor, rounded, limit, progress)
    };
    plan.tensors.iter().map(compare).collect()
}

/// GGUF cannot say everything that a config can; the shapes of all tensors it must.
fn describes_the_same(source: &Checkpoint, written: &Checkpoint) -> bool {
    let shapes = |checkpoint: &Checkpoint| {
        let spec = &checkpoint.spec;
        spec.tensor_ids().into_iter().map(|id| (id, spec.shape(id))).collect::<Vec<_>>()
    };
    shapes(source) == shapes(written)
}

fn compare(
    source: &Checkpoint,
    written: &Checkpoint,
    tensor: &TensorPlan,
    rounded: Option<&[u8]>,
    limit: f64,
    progress: &dyn Progress,
) -> Result<TensorDistance, CompressError> {
    let unreadable = |error| VerificationError::Unreadable(Box::new(error));
    let (before, after) = (source.tensor(tensor.id)?, written.tensor(tensor.id).map_err(unreadable)?);
    if after.tensor_type() != tensor.to {
        let found = after.tensor_type();
        return Err(
            VerificationError::Type { tensor: tensor.name.clone(), expected: tensor.to, found }.into()
        );
    }
    if let Some(rounded) = rounded {
        check_rows(tensor, &after, rounded)?;
    }
    let row_len = before.row_len();
    let (mut difference, mut energy) = (0.0, 0.0);
    for chunk in chunks(&before) {
        progress.check()?;
        let elements = (chunk.len() * row_len) as u64;
        // one sum per row, added in the order of the rows: the same whatever the number of threads
        let sums: Vec<(f64, f64)> = chunk
            .into_par_iter()
            .map(|row| {
                let mut wanted = vec![0.0; row_len];
                let mut got = vec![0.0; row_len];
                before.read(row..row + 1, &mut wanted)?;
                after.read(row..row + 1, &mut got)?;
                Ok(row_sums(&wanted, &got))
            })
            .collect::<Result<_, CompressError>>()?;
        for (row_difference, row_energy) in sums {
            difference += row_difference;
            energy += row_energy;
        }
        progress.advance(elements);
    }
    let found = if energy > 0.0 { difference / energy } else { difference };
    if found.is_nan() || found > limit {
        let (tensor, tensor_type) = (tensor.name.clone(), tensor.to);
        return Err(VerificationError::Distance { tensor, tensor_type, limit, found }.into());
    }
    Ok(TensorDistance { name: tensor.name.clone(), relative_squared_error: found })
}

/// Rounding with feedback may go farther from the source than rounding to nearest does, but not to another matrix: unless it solves for what a smaller shape lacks,
/// which may be more than what is there.
fn farthest(source: &Checkpoint, plan: &Plan) -> f64 {
    let makes_good = source.before_shape().is_some() && plan.rounding == Rounding::Full;
    if makes_good { f64::INFINITY } else { 0.8 }
}

/// Checks that the file holds what was rounded, row after row in our order.
fn check_rows(tensor: &TensorPlan, written: &TensorRows, rounded: &[u8]) -> Result<(), VerificationError> {
    let rows = rounded.chunks_exact(rounded.len() / written.rows()).enumerate();
    for (row, rounded) in rows {
        if written.raw_row(row) != Some(rounded) {
            return Err(VerificationError::Row { tensor: tensor.name.clone(), row });
        }
    }
    Ok(())
}

fn row_sums(wanted: &[f32], got: &[f32]) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (&wanted, &got) in wanted.iter().zip(got) {
        sums.0 += f64::from(wanted - got).powi(2);
        sums.1 += f64::from(wanted).powi(2);
    }
    sums
}

/// More than rounding can do to any weights, less than a misplaced row or scale does.
fn greatest_distance(tensor: &TensorPlan) -> f64 {
    // computed once in 32 bits and once read back from them
    if tensor.id.role == Role::RopeFactors {
        return 1e-12;
    }
    match tensor.to {
        TensorType::F32 => 0.0,
        TensorType::F16 | TensorType::BF16 => 1e-4,
        TensorType::Q8_0 => 1e-3,
        TensorType::Q6_K => 5e-3,
        TensorType::Q5_K | TensorType::Q5_1 | TensorType::Q5_0 => 4e-2,
        TensorType::Q3_K | TensorType::IQ3_S => 0.3,
        TensorType::Q2_K => 0.6,
        _ => 0.15,
    }
}

#[cfg(test)]
mod tests {
    use secateur_model::demo;
    use secateur_model::gguf::Gguf;
    use secateur_model::stored::FileBytes;
    use secateur_model::types::{TypeChoice, TypeRequest};

    use super::*;
    use crate::apply::write_gguf;
    use crate::plan;
    use crate::progress::Silent;

    /// The demo in a type, written to a file.
    fn written(folder: &Path) -> (Checkpoint, Plan, std::path::PathBuf) {
        let source = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let base = TypeChoice::Uniform(TensorType::Q4_0);
        let plan = plan(&source, &TypeRequest { base, overrides: Vec::new() }).unwrap();
        let path = folder.join("model.gguf");
        write_gguf(&source, &plan, &path, None, &Silent).unwrap();
        (source, plan, path)
    }

    #[test]
    fn what_was_damaged_after_it_was_written_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (source, plan, path) = written(folder.path());
        assert!(verify(&source, &plan, &path, None, &Silent).is_ok());
        let whole = std::fs::read(&path).unwrap();
        let failure = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            match verify(&source, &plan, &path, None, &Silent).unwrap_err() {
                CompressError::Verification(error) => error,
                other => panic!("{other}"),
            }
        };
        // the scale of a block becomes 64 times as large
        let gguf = Gguf::open(&path).unwrap();
        let tensor = gguf.tensors.iter().find(|tensor| tensor.name == "blk.1.ffn_up.weight").unwrap();
        let mut damaged = whole.clone();
        for block in damaged[tensor.offset as usize..][..tensor.bytes as usize].chunks_exact_mut(18).take(200)
        {
            block[1] ^= 0x18;
        }
        let error = failure(&damaged);
        assert!(
            matches!(&error, VerificationError::Distance { tensor, .. } if tensor == "blk.1.ffn_up.weight"),
            "{error}"
        );

        let error = failure(&whole[..whole.len() - 32]);
        assert!(matches!(error, VerificationError::Unreadable(_)), "{error}");
    }

    #[test]
    fn rows_that_are_not_what_was_rounded_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (_, plan, path) = written(folder.path());
        let written = Checkpoint::open(&path).unwrap();
        let tensor = plan.tensors.iter().find(|tensor| tensor.name == "blk.0.ffn_down.weight").unwrap();
        let rows = written.tensor(tensor.id).unwrap();
        let mut rounded: Vec<u8> =
            (0..rows.rows()).flat_map(|row| rows.raw_row(row).unwrap().to_vec()).collect();
        assert!(check_rows(tensor, &rows, &rounded).is_ok());
        let row_bytes = rounded.len() / rows.rows();
        rounded[3 * row_bytes] ^= 1;
        let error = check_rows(tensor, &rows, &rounded).unwrap_err();
        assert!(matches!(error, VerificationError::Row { row: 3, .. }), "{error}");
    }
}
