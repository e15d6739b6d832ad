//! A model to be priced: with its files, from a bare config.json, or from a number of parameters.

use std::path::Path;

use anyhow::Context;
use secateur_model::gguf::{GgufLayout, Metadata};
use secateur_model::header_spec::write_spec;
use secateur_model::hf::config::spec_from_config;
use secateur_model::plan::TensorPlan;
use secateur_model::stored::NewTensor;
use secateur_model::types::{TypeChoice, TypeRequest, plan_tensors};
use secateur_model::{Checkpoint, ModelError, ModelSpec, TensorType};
use secateur_profiles::catalog::Sizes;
use secateur_profiles::cost::Workload;

use crate::model_argument;

/// A model to be priced.
#[derive(Debug)]
pub struct CostModel {
    /// What it calls itself.
    pub name: String,
    /// Its architecture.
    pub spec: ModelSpec,
    /// Its files, if it has any.
    checkpoint: Option<Checkpoint>,
}

impl CostModel {
    /// Opens what the user named.
    pub fn open(model: &str) -> anyhow::Result<Self> {
        let path = Path::new(model);
        let is_config = path.extension().is_some_and(|extension| extension == "json");
        if !is_config {
            let checkpoint = model_argument::open(model)?;
            return Ok(Self {
                name: checkpoint.name(),
                spec: checkpoint.spec.clone(),
                checkpoint: Some(checkpoint),
            });
        }
        let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
        let text = std::fs::read(path).map_err(unreadable)?;
        let config = serde_json::from_slice(&text)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        let spec =
            spec_from_config(&config).map_err(|source| ModelError::Spec { path: path.to_owned(), source })?;
        let folder =
            path.canonicalize().ok().and_then(|path| path.parent()?.file_name().map(ToOwned::to_owned));
        let name = folder.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, spec, checkpoint: None })
    }

    /// A decoder of the usual proportions.
    pub fn of_parameters(parameters: f64) -> Self {
        let name = format!("a decoder with {} parameters", secateur_reports::units::count(parameters as u64));
        Self { name, spec: Sizes::of_parameters(parameters).spec(), checkpoint: None }
    }

    /// True if the size of its file is exact, tokenizer included.
    pub fn has_files(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Weights of all matrices and vectors.
    pub fn parameters(&self) -> u64 {
        self.spec.parameter_count()
    }

    /// The model in a type, or as it is stored.
    pub fn workload(&self, choice: Option<TypeChoice>) -> anyhow::Result<Workload> {
        let Some(base) = choice.or(if self.checkpoint.is_none() {
            Some(TypeChoice::Uniform(TensorType::F16))
        } else {
            None
        }) else {
            return self.stored();
        };
        let request = TypeRequest { base, overrides: Vec::new() };
        if let Some(checkpoint) = &self.checkpoint {
            let plan = secateur_compress::plan(checkpoint, &request)?;
            return Ok(Workload::new(&self.spec, &plan.tensors, plan.gguf_bytes));
        }
        let tensors = plan_tensors(&self.spec, &request, |_| None)?;
        let bytes = file_bytes(&self.spec, &tensors)?;
        Ok(Workload::new(&self.spec, &tensors, bytes))
    }

    fn stored(&self) -> anyhow::Result<Workload> {
        let request = TypeRequest { base: TypeChoice::Uniform(TensorType::F32), overrides: Vec::new() };
        let stored = |id| self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.stored_type(id));
        let mut tensors = plan_tensors(&self.spec, &request, stored)?;
        for tensor in &mut tensors {
            tensor.to = tensor.from;
            let row_len = tensor.shape.last().copied().unwrap_or(1);
            let rows = tensor.elements() / row_len.max(1) as u64;
            // what is stored has a legal type
            tensor.bytes = rows * tensor.to.row_bytes(row_len).unwrap_or(0) as u64;
        }
        let files = self.checkpoint.iter().flat_map(|checkpoint| checkpoint.weight_files());
        let on_disk: u64 = files.filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum();
        let tensor_bytes: u64 = tensors.iter().map(|tensor| tensor.bytes).sum();
        Ok(Workload::new(&self.spec, &tensors, on_disk.max(tensor_bytes)))
    }
}

/// The GGUF of a model without a tokenizer.
fn file_bytes(spec: &ModelSpec, tensors: &[TensorPlan]) -> anyhow::Result<u64> {
    let mut metadata = Metadata::new();
    write_spec(spec, &mut metadata);
    let new: Vec<NewTensor> = tensors
        .iter()
        .map(|tensor| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            tensor_type: tensor.to,
        })
        .collect();
    let layout = GgufLayout::new(&metadata, &new).context("the model cannot be laid out as GGUF")?;
    Ok(layout.file_bytes())
}
