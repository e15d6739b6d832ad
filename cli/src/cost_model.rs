//! A model to be priced: with its files, from a bare config.json, or from a number of parameters.

use std::path::Path;

use anyhow::Context;
use secateur_model::gguf::{GgufLayout, Metadata};
use secateur_model::header_spec::write_spec;
use secateur_model::hf::config::spec_from_config;
use secateur_model::plan::{TensorPlan, new_tensors};
use secateur_model::types::{TypeChoice, TypeRequest, plan_tensors};
use secateur_model::{Checkpoint, ModelError, ModelSpec, SpecError, TensorType};
use secateur_profiles::architecture::Architecture;
use secateur_profiles::catalog::Sizes;
use secateur_profiles::cost::Workload;
use secateur_profiles::needs::Modality;

use crate::console::Console;
use crate::model_argument::{self, Headers};

/// A model to be priced.
#[derive(Debug)]
pub struct CostModel {
    /// What it calls itself.
    pub name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Its files are here.
    Files(Box<Headers>),
    /// Its architecture is one that we can cut.
    Spec(ModelSpec),
    /// Its architecture is one that we can only price.
    Priced(Architecture),
}

/// Why a type cannot be priced.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{found}` is a mix of llama.cpp, which is not known for `{family}`; name a plain type, for example q4_0"
)]
pub struct MixError {
    found: String,
    family: String,
}

impl CostModel {
    /// Opens what the user named; of a model of the Hub only headers are fetched.
    pub fn open(model: &str, console: &Console) -> anyhow::Result<Self> {
        Self::open_by(model, |model| model_argument::open_headers(model, console))
    }

    /// The same to be priced in the types in which it is stored alone: without what only a new file needs.
    pub fn open_as_stored(model: &str, console: &Console) -> anyhow::Result<Self> {
        Self::open_by(model, |model| model_argument::open_tensors(model, console))
    }

    fn open_by(model: &str, open: impl FnOnce(&str) -> anyhow::Result<Headers>) -> anyhow::Result<Self> {
        let path = Path::new(model);
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::from_config(path);
        }
        let headers = open(model)?;
        Ok(Self { name: headers.checkpoint.name(), source: Source::Files(Box::new(headers)) })
    }

    fn from_config(path: &Path) -> anyhow::Result<Self> {
        let unreadable = |source| ModelError::Io { path: path.to_owned(), source };
        let text = std::fs::read(path).map_err(unreadable)?;
        let config = serde_json::from_slice(&text)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        let source = match spec_from_config(&config) {
            Ok(spec) => Source::Spec(spec),
            Err(unknown @ SpecError::UnknownArchitecture { .. }) => {
                match Architecture::from_config(&config) {
                    Ok(architecture) => Source::Priced(architecture),
                    Err(error) => {
                        let unknown = ModelError::Spec { path: path.to_owned(), source: unknown };
                        return Err(anyhow::Error::from(unknown).context(error.to_string()));
                    }
                }
            }
            Err(source) => return Err(ModelError::Spec { path: path.to_owned(), source }.into()),
        };
        let folder =
            path.canonicalize().ok().and_then(|path| path.parent()?.file_name().map(ToOwned::to_owned));
        let name =
            folder.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, source })
    }

    /// A decoder of the usual proportions.
    pub fn of_parameters(parameters: f64) -> Self {
        let name = format!("a decoder with {} parameters", secateur_reports::units::count(parameters as u64));
        Self { name, source: Source::Spec(Sizes::of_parameters(parameters).spec()) }
    }

    /// True if the size of its file is exact, tokenizer included.
    pub fn has_files(&self) -> bool {
        matches!(self.source, Source::Files(_))
    }

    /// Weights of all matrices and vectors.
    pub fn parameters(&self) -> u64 {
        match &self.source {
            Source::Files(headers) => headers.checkpoint.spec.parameter_count(),
            Source::Spec(spec) => spec.parameter_count(),
            Source::Priced(architecture) => architecture.parameters(),
        }
    }

    /// Tokens in the vocabulary, where its architecture is known.
    pub fn vocabulary_size(&self) -> Option<usize> {
        match &self.source {
            Source::Files(headers) => Some(headers.checkpoint.spec.vocabulary_size),
            Source::Spec(spec) => Some(spec.vocabulary_size),
            Source::Priced(_) => None,
        }
    }

    /// What the model is fed with, as far as its config tells.
    pub fn modalities(&self) -> Vec<Modality> {
        let Source::Files(headers) = &self.source else { return vec![Modality::Text] };
        let config = headers.checkpoint.config();
        let has = |part: &str| config.is_some_and(|config| config.get(part).is_some());
        let mut modalities = vec![Modality::Text];
        modalities.extend(has("vision_config").then_some(Modality::Image));
        modalities.extend(has("audio_config").then_some(Modality::Audio));
        modalities
    }

    /// Longest context that the model was trained for, in tokens.
    pub fn context_length(&self) -> usize {
        match &self.source {
            Source::Files(headers) => headers.checkpoint.spec.context_length,
            Source::Spec(spec) => spec.context_length,
            Source::Priced(architecture) => architecture.context_length,
        }
    }

    /// The model in a type; without one, as it is stored, or in `f16` if it has no files.
    pub fn workload(&self, choice: Option<TypeChoice>) -> anyhow::Result<Workload> {
        let plain = TypeChoice::Uniform(TensorType::F16);
        match (&self.source, choice) {
            (Source::Files(headers), None) => stored(&headers.checkpoint),
            (Source::Files(headers), Some(base)) => {
                let checkpoint = &headers.checkpoint;
                let plan = secateur_compress::plan(checkpoint, &TypeRequest { base, overrides: Vec::new() })?;
                Ok(Workload::new(&checkpoint.spec, &plan.tensors, plan.gguf_bytes))
            }
            (Source::Spec(spec), choice) => {
                let request = TypeRequest { base: choice.unwrap_or(plain), overrides: Vec::new() };
                let tensors = plan_tensors(spec, &request, |_| None)?;
                let bytes = file_bytes(spec, &tensors)?;
                Ok(Workload::new(spec, &tensors, bytes))
            }
            (Source::Priced(architecture), choice) => match choice.unwrap_or(plain) {
                TypeChoice::Uniform(tensor_type) => Ok(architecture.workload(tensor_type)),
                TypeChoice::Source => Ok(architecture.workload(TensorType::F16)),
                mix @ TypeChoice::Mix(_) => {
                    Err(MixError { found: mix.to_string(), family: architecture.family.clone() }.into())
                }
            },
        }
    }
}

/// The model as it lies on disk.
pub fn stored(checkpoint: &Checkpoint) -> anyhow::Result<Workload> {
    let request = TypeRequest { base: TypeChoice::Uniform(TensorType::F32), overrides: Vec::new() };
    let mut tensors = plan_tensors(&checkpoint.spec, &request, |id| checkpoint.stored_type(id))?;
    for tensor in &mut tensors {
        tensor.store_as(tensor.from);
    }
    let files = checkpoint.weight_files().filter_map(|path| std::fs::metadata(path).ok());
    let on_disk: u64 = files.map(|file| file.len()).sum();
    let tensor_bytes: u64 = tensors.iter().map(|tensor| tensor.bytes).sum();
    Ok(Workload::new(&checkpoint.spec, &tensors, on_disk.max(tensor_bytes)))
}

/// The GGUF of a model without a tokenizer.
fn file_bytes(spec: &ModelSpec, tensors: &[TensorPlan]) -> anyhow::Result<u64> {
    let mut metadata = Metadata::new();
    write_spec(spec, &mut metadata);
    let layout =
        GgufLayout::new(&metadata, &new_tensors(tensors)).context("the model cannot be laid out as GGUF")?;
    Ok(layout.file_bytes())
}
