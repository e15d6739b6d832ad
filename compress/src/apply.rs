//! Carries out a plan: reads, quantizes and writes tensor by tensor, a few megabytes at a time.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use secateur_model::atomic_file::AtomicFile;
use secateur_model::gguf::GgufLayout;
use secateur_model::plan::{Plan, TensorPlan};
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, ModelError, TensorType};

use crate::CompressError;
use crate::metadata::artifact_metadata;
use crate::planning::new_tensors;
use crate::progress::Progress;
use crate::quantize::quantize_rows;

/// Numbers that are in work at a time: 16 MiB as `f32`, whatever the size of the tensor.
const CHUNK_ELEMENTS: usize = 4 << 20;

/// Numbers that one task quantizes: enough to pay for its scheduling, few enough to fill all cores.
const TASK_ELEMENTS: usize = 64 << 10;

/// Writes model.gguf as planned; the file appears whole or not at all.
///
/// # Errors
/// If a weight is not finite, the source changed, the disk is full or the user interrupts.
pub fn write_gguf(
    checkpoint: &Checkpoint,
    plan: &Plan,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    let metadata = artifact_metadata(checkpoint, plan);
    let layout = GgufLayout::new(&metadata, &new_tensors(plan))?;
    let file = AtomicFile::create(path)?;
    let unwritable = |source| CompressError::Write { path: path.to_owned(), source };
    let mut writer = layout.start(file).map_err(unwritable)?;
    let tensor_write = |source| ModelError::TensorWrite { path: path.to_owned(), source };
    for tensor in &plan.tensors {
        writer.begin(&tensor.name).map_err(tensor_write)?;
        let rows = checkpoint.tensor(tensor.id)?;
        for chunk in chunks(&rows) {
            progress.check()?;
            let elements = (chunk.len() * rows.row_len()) as u64;
            let bytes = encode(checkpoint, tensor, &rows, chunk)?;
            writer.write_all(&bytes).map_err(tensor_write)?;
            progress.advance(elements);
        }
    }
    writer.finish().map_err(tensor_write)?.commit()?;
    Ok(())
}

/// The rows of a tensor in pieces of at most [`CHUNK_ELEMENTS`] numbers (one row, if that is longer).
pub(crate) fn chunks(rows: &TensorRows) -> impl Iterator<Item = Range<usize>> + use<> {
    let (count, step) = (rows.rows(), (CHUNK_ELEMENTS / rows.row_len()).max(1));
    (0..count).step_by(step).map(move |start| start..(start + step).min(count))
}

/// The bytes of rows `chunk`, numbered as GGUF has them.
fn encode(
    checkpoint: &Checkpoint,
    tensor: &TensorPlan,
    rows: &TensorRows,
    chunk: Range<usize>,
) -> Result<Vec<u8>, CompressError> {
    let attention = tensor.id.layer.and_then(|layer| checkpoint.spec.layers[layer].attention());
    let order = checkpoint.spec.family.table().gguf_row_order(tensor.id.role, attention);
    let row_len = rows.row_len();
    let row_bytes = row_bytes(tensor.to, row_len);
    let unchanged = rows.tensor_type() == tensor.to;
    let rows_per_task = (TASK_ELEMENTS / row_len).max(1);
    let mut bytes = vec![0; chunk.len() * row_bytes];
    bytes.par_chunks_mut(rows_per_task * row_bytes).enumerate().try_for_each(|(task, out)| {
        let first = chunk.start + task * rows_per_task;
        let ours = (first..first + out.len() / row_bytes).map(|row| order.our_row(row));
        let mut values = vec![0.0; ours.len() * row_len];
        for ((row, values), out) in
            ours.zip(values.chunks_exact_mut(row_len)).zip(out.chunks_exact_mut(row_bytes))
        {
            match rows.raw_row(row).filter(|_| unchanged) {
                // what keeps its type keeps its bytes
                Some(raw) => {
                    out.copy_from_slice(raw);
                    rows.read(row..row + 1, values)?;
                    check_finite(tensor, row, values)?;
                }
                None => {
                    rows.read(row..row + 1, values)?;
                    check_finite(tensor, row, values)?;
                    quantize_rows(tensor.to, values, row_len, None, out)
                        .map_err(|source| CompressError::Quantize { tensor: tensor.name.clone(), source })?;
                }
            }
        }
        Ok::<_, CompressError>(())
    })?;
    Ok(bytes)
}

/// Bytes of a row in a type that the plan has found legal for it.
pub(crate) fn row_bytes(tensor_type: TensorType, row_len: usize) -> usize {
    row_len / tensor_type.block_len() * tensor_type.block_bytes()
}

fn check_finite(tensor: &TensorPlan, row: usize, values: &[f32]) -> Result<(), CompressError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(column) => Err(CompressError::NotFinite {
            tensor: tensor.name.clone(),
            row,
            column,
            value: values[column],
        }),
    }
}
