//! Carries out a plan: reads, quantizes and writes tensor by tensor, a few megabytes at a time.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use secateur_model::atomic_file::AtomicFile;
use secateur_model::family::RowOrder;
use secateur_model::gguf::GgufLayout;
use secateur_model::plan::{Plan, TensorPlan, new_tensors};
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, ModelError};

use crate::CompressError;
use crate::metadata::artifact_metadata;
use crate::progress::Progress;
use crate::rounding::{Part, RoundedMatrices, RoundedStore, matrices_of};
use secateur_quantize::quantize_tensor;

/// Numbers that are in work at a time: 16 MiB as `f32`, whatever the size of the tensor.
const CHUNK_ELEMENTS: usize = 4 << 20;

/// Numbers that one task reads at least: enough to pay for its scheduling.
const TASK_ELEMENTS: usize = 64 << 10;

/// Writes model.gguf as planned, matrices as they are in `rounded` if they are rounded already; the file appears whole or not at all.
///
/// # Errors
/// If a weight is not finite, the source changed, the disk is full or the user interrupts.
pub fn write_gguf(
    checkpoint: &Checkpoint,
    plan: &Plan,
    path: &Path,
    rounded: Option<&RoundedStore>,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    let metadata = artifact_metadata(checkpoint, plan);
    let layout = GgufLayout::new(&metadata, &new_tensors(&plan.tensors))?;
    let file = AtomicFile::create(path)?;
    let unwritable = |source| CompressError::Write { path: path.to_owned(), source };
    let mut writer = layout.start(file).map_err(unwritable)?;
    let tensor_write = |source| ModelError::TensorWrite { path: path.to_owned(), source };
    let mut ready = Ready::new(checkpoint, rounded);
    let mut begun = None;
    for tensor in &plan.tensors {
        let rounded = ready.matrix(tensor)?;
        // what has a name in common with the tensor before it is written behind it
        if begun != Some(tensor.name.as_str()) {
            writer.begin(&tensor.name).map_err(tensor_write)?;
            begun = Some(&tensor.name);
        }
        let rows = checkpoint.tensor(tensor.id)?;
        for chunk in chunks(&rows) {
            progress.check()?;
            let elements = (chunk.len() * rows.row_len()) as u64;
            let bytes = match rounded {
                Some(rounded) => in_file_order(checkpoint, tensor, &rows, chunk, rounded),
                None => encode(checkpoint, tensor, &rows, chunk)?,
            };
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

/// How the rows of a tensor lie in GGUF.
fn order_in_file(checkpoint: &Checkpoint, tensor: &TensorPlan) -> RowOrder {
    let attention = tensor.id.layer.and_then(|layer| checkpoint.spec.layers[layer].attention());
    checkpoint.spec.family.table().gguf_row_order(tensor.id.role, attention)
}

/// Matrices that are rounded already, a part of the model at a time.
pub(crate) struct Ready<'a> {
    checkpoint: &'a Checkpoint,
    store: Option<&'a RoundedStore>,
    held: Option<(Part, RoundedMatrices)>,
}

impl<'a> Ready<'a> {
    pub fn new(checkpoint: &'a Checkpoint, store: Option<&'a RoundedStore>) -> Self {
        Self { checkpoint, store, held: None }
    }

    /// The rows of a matrix in our order; `None` if nothing is rounded already, or the tensor is no matrix.
    pub fn matrix(&mut self, tensor: &TensorPlan) -> Result<Option<&[u8]>, CompressError> {
        let (Some(store), true) = (self.store, tensor.id.role.is_matrix()) else { return Ok(None) };
        let part = Part::of(tensor.id);
        if self.held.as_ref().is_none_or(|(held, _)| *held != part) {
            let wanted = matrices_of(self.checkpoint, part);
            let matrices = store.part(part, &wanted).ok_or(CompressError::RoundedGone)?;
            self.held = Some((part, matrices));
        }
        Ok(self.held.as_ref().and_then(|(_, matrices)| matrices.get(&tensor.id)).map(Vec::as_slice))
    }
}

/// Rows `chunk`, numbered as GGUF has them, of a matrix that is rounded already.
fn in_file_order(
    checkpoint: &Checkpoint,
    tensor: &TensorPlan,
    rows: &TensorRows,
    chunk: Range<usize>,
    rounded: &[u8],
) -> Vec<u8> {
    let order = order_in_file(checkpoint, tensor);
    let row_bytes = rounded.len() / rows.rows();
    chunk.flat_map(|row| &rounded[order.our_row(row) * row_bytes..][..row_bytes]).copied().collect()
}

/// The bytes of rows `chunk`, numbered as GGUF has them.
fn encode(
    checkpoint: &Checkpoint,
    tensor: &TensorPlan,
    rows: &TensorRows,
    chunk: Range<usize>,
) -> Result<Vec<u8>, CompressError> {
    let order = order_in_file(checkpoint, tensor);
    let values = read_finite(tensor, rows, order, chunk.clone())?;
    let stored_as_meant = rows.offset() == 0.0 && rows.raw_row(0).is_some();
    if rows.tensor_type() == tensor.to && stored_as_meant {
        // what keeps its type keeps its bytes
        let raw = chunk.filter_map(|row| rows.raw_row(order.our_row(row)));
        return Ok(raw.flatten().copied().collect());
    }
    quantize_tensor(tensor.to, &values, rows.row_len(), None)
        .map_err(|source| CompressError::Quantize { tensor: tensor.name.clone(), source })
}

/// The numbers of rows `chunk` in the order of the file, `[chunk.len(), row_len]`.
fn read_finite(
    tensor: &TensorPlan,
    rows: &TensorRows,
    order: RowOrder,
    chunk: Range<usize>,
) -> Result<Vec<f32>, CompressError> {
    let row_len = rows.row_len();
    let mut values = vec![0.0; chunk.len() * row_len];
    values.par_chunks_mut(row_len).with_min_len(TASK_ELEMENTS / row_len).zip(chunk).try_for_each(
        |(values, row)| {
            let row = order.our_row(row);
            rows.read(row..row + 1, values)?;
            match values.iter().position(|value| !value.is_finite()) {
                None => Ok(()),
                Some(column) => {
                    let (tensor, value) = (tensor.name.clone(), values[column]);
                    Err(CompressError::NotFinite { tensor, row, column, value })
                }
            }
        },
    )?;
    Ok(values)
}
