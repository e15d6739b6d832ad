//! A small model with a tokenizer in Qwen 3's architecture.

use std::error::Error;
use std::path::Path;

use secateur_model::atomic_file::AtomicFile;
use secateur_model::gguf::{GgufLayout, Metadata};
use secateur_model::header_spec::write_spec;
use secateur_model::spec::Mixer;
use secateur_model::stored::{FileBytes, NewTensor};
use secateur_model::{Checkpoint, Family, TensorType, demo};

/// Writes the demo with norms on queries and keys, all of them 1: Qwen 3 in all that runtimes look at, though nobody trained it so.
///
/// # Errors
/// If the file cannot be written.
pub fn write_qwen3(target: &Path) -> Result<(), Box<dyn Error>> {
    let demo = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF))?;
    let mut spec = demo.spec.clone();
    spec.family = Family::Qwen3;
    for layer in &mut spec.layers {
        if let Mixer::Attention(attention) = &mut layer.mixer {
            attention.query_key_norm = true;
        }
    }
    let mut metadata = Metadata::new();
    write_spec(&spec, &mut metadata);
    let tokenizer = demo.tokenizer.as_ref().map(secateur_model::tokenizer::Tokenizer::to_gguf_metadata);
    for (key, value) in tokenizer.into_iter().flatten() {
        metadata.set(key, value);
    }
    let ids = spec.tensor_ids();
    let new = ids.iter().map(|&id| {
        let name = spec.family.table().gguf_name(id).ok_or("a tensor without a name")?;
        let shape = spec.shape(id).ok_or("a tensor without a shape")?;
        Ok(NewTensor { name, shape, tensor_type: TensorType::F32 })
    });
    let new: Vec<NewTensor> = new.collect::<Result<_, Box<dyn Error>>>()?;
    let mut writer = GgufLayout::new(&metadata, &new)?.start(AtomicFile::create(target)?)?;
    for (&id, new) in ids.iter().zip(&new) {
        writer.begin(&new.name)?;
        let values = match demo.stored_type(id) {
            Some(_) => demo.tensor(id)?.read_all()?,
            None => vec![1.0; new.shape[0]],
        };
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        writer.write_all(&bytes)?;
    }
    writer.finish()?.commit()?;
    Ok(())
}
