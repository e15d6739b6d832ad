//! Writes the Hugging Face folder of an artifact: config, weights and tokenizer as transformers reads them.

use std::path::Path;

use secateur_model::atomic_file::write_file;
use secateur_model::hf::{DEFAULT_MAX_SHARD_BYTES, HfWeightsLayout, config::config_from_spec};
use secateur_model::stored::NewTensor;
use secateur_model::tensor_rows::TensorRows;
use secateur_model::{Checkpoint, ModelError, TensorId, TensorType};

use crate::CompressError;
use crate::apply::chunks;
use crate::progress::Progress;
use secateur_quantize::quantize_tensor;

/// Writes all tensors in `tensor_type`, which is one of the float types.
pub(crate) fn write_hf_folder(
    checkpoint: &Checkpoint,
    tensor_type: TensorType,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), CompressError> {
    std::fs::create_dir(folder).map_err(|source| CompressError::Write { path: folder.to_owned(), source })?;
    let spec = &checkpoint.spec;
    let config = config_from_spec(spec, tensor_type, checkpoint.config())?;
    write_file(folder.join("config.json"), format!("{config:#}\n").as_bytes())?;
    if let Some(tokenizer) = &checkpoint.tokenizer {
        let files = tokenizer
            .hf_files()
            .map_err(|source| ModelError::Tokenizer { path: folder.to_owned(), source })?;
        for (name, bytes) in files {
            write_file(folder.join(name), &bytes)?;
        }
    }

    let table = spec.family.table();
    let named: Vec<(TensorId, String)> =
        spec.tensor_ids().into_iter().filter_map(|id| Some((id, table.hf_name(id)?))).collect();
    let new_tensors: Vec<NewTensor> = named
        .iter()
        .filter_map(|(id, name)| Some(NewTensor { name: name.clone(), shape: spec.shape(*id)?, tensor_type }))
        .collect();
    let layout = HfWeightsLayout::new(&new_tensors, DEFAULT_MAX_SHARD_BYTES)
        .map_err(|source| ModelError::Safetensors { path: folder.to_owned(), source })?;
    let mut writer = layout.start(folder)?;
    for (id, name) in &named {
        writer.begin(name)?;
        let rows = checkpoint.tensor(*id)?;
        let offset = if id.role.is_norm() { table.habits.norm_offset } else { 0.0 };
        for chunk in chunks(&rows) {
            progress.check()?;
            let elements = (chunk.len() * rows.row_len()) as u64;
            writer.write_all(&encode(&rows, chunk, tensor_type, offset, name)?)?;
            progress.advance(elements);
        }
    }
    writer.finish()?;
    Ok(())
}

fn encode(
    rows: &TensorRows,
    chunk: std::ops::Range<usize>,
    tensor_type: TensorType,
    offset: f32,
    name: &str,
) -> Result<Vec<u8>, CompressError> {
    if rows.tensor_type() == tensor_type && rows.offset() == offset && rows.raw_row(0).is_some() {
        // what keeps its type keeps its bytes
        return Ok(chunk.filter_map(|row| rows.raw_row(row)).flatten().copied().collect());
    }
    let mut values = vec![0.0; chunk.len() * rows.row_len()];
    rows.read(chunk, &mut values)?;
    for value in &mut values {
        *value -= offset;
    }
    quantize_tensor(tensor_type, &values, rows.row_len(), None)
        .map_err(|source| CompressError::Quantize { tensor: name.to_owned(), source })
}
