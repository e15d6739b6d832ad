//! From what the user asked for to a [`Plan`].

use std::collections::BTreeMap;

use secateur_model::gguf::GgufLayout;
use secateur_model::plan::{HfPlan, Plan, TensorPlan, new_tensors};
use secateur_model::types::{TypeChoice, TypeRequest, plan_tensors};
use secateur_model::{Checkpoint, Origin, Rounding, TensorId, TensorType, hf};

use crate::CompressError;
use crate::allocation::Choice;
use crate::metadata::artifact_metadata;

/// The version of [`Plan`] that we write.
const SCHEMA: u32 = 1;

/// Decides the type of every tensor and counts the bytes that model.gguf will have.
///
/// # Errors
/// If a pattern matches nothing, or the tensors cannot be laid out as GGUF.
pub fn plan(checkpoint: &Checkpoint, request: &TypeRequest) -> Result<Plan, CompressError> {
    let table = checkpoint.spec.family.table();
    let tensors = plan_tensors(&checkpoint.spec, request, |id| checkpoint.stored_type(id))?;
    let source_file_type = match checkpoint.origin {
        Origin::Gguf { file_type } => file_type,
        Origin::HuggingFace { .. } => None,
    };
    let asked = std::iter::once(format!("type={}", request.base))
        .chain(request.overrides.iter().map(|rule| format!("tensor-type:{rule}")))
        .collect();
    measured(
        checkpoint,
        Plan {
            schema: SCHEMA,
            source: checkpoint.name(),
            architecture: table.gguf_architecture.to_owned(),
            asked,
            vocabulary: checkpoint.changed_tokens(),
            shape: checkpoint.shape().cloned(),
            file_type: request.file_type(source_file_type, type_of_most(&tensors)),
            rounding: Rounding::Rtn,
            cache: None,
            calibration: None,
            hf: plan_hf(checkpoint, request, &tensors),
            tensors,
            gguf_bytes: 0,
        },
    )
}

/// What was asked for, beside types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// In the user's words.
    pub asked: Vec<String>,
    /// How numbers become codes.
    pub rounding: Rounding,
    /// SHA-256 of the calibration statistics that decide.
    pub calibration: Option<String>,
}

impl Intent {
    /// The plan, carried out with this intent.
    ///
    /// # Errors
    /// If the tensors cannot be laid out as GGUF.
    pub fn apply(&self, checkpoint: &Checkpoint, mut plan: Plan) -> Result<Plan, CompressError> {
        plan.asked.clone_from(&self.asked);
        plan.rounding = self.rounding;
        plan.calibration.clone_from(&self.calibration);
        measured(checkpoint, plan)
    }
}

/// The plan in which every matrix has its choice, and everything else is as in [`plan`].
///
/// # Errors
/// If the tensors cannot be laid out as GGUF.
pub fn plan_choices(
    checkpoint: &Checkpoint,
    choices: &BTreeMap<TensorId, Choice>,
    intent: &Intent,
) -> Result<Plan, CompressError> {
    let base = TypeChoice::Uniform(most(choices.values().map(|choice| (choice.tensor_type, choice.bytes))));
    let mut plan = plan(checkpoint, &TypeRequest { base, overrides: Vec::new() })?;
    plan.hf = HfPlan::Leave(QUANTIZED.to_owned());
    for tensor in &mut plan.tensors {
        let Some(choice) = choices.get(&tensor.id) else { continue };
        tensor.store_as(choice.tensor_type);
        tensor.instead_of = None;
        tensor.damage = Some(choice.damage);
    }
    intent.apply(checkpoint, plan)
}

/// The type that most bytes of the matrices have.
fn type_of_most(tensors: &[TensorPlan]) -> TensorType {
    let matrices = tensors.iter().filter(|tensor| tensor.id.role.is_matrix());
    most(matrices.map(|tensor| (tensor.to, tensor.bytes)))
}

fn most(bytes: impl Iterator<Item = (TensorType, u64)>) -> TensorType {
    let mut by_type: BTreeMap<TensorType, u64> = BTreeMap::new();
    bytes.for_each(|(tensor_type, bytes)| *by_type.entry(tensor_type).or_default() += bytes);
    let most = by_type.into_iter().max_by_key(|&(_, bytes)| bytes);
    most.map_or(TensorType::F16, |(tensor_type, _)| tensor_type)
}

/// The plan with the exact size of its file.
fn measured(checkpoint: &Checkpoint, mut plan: Plan) -> Result<Plan, CompressError> {
    let metadata = artifact_metadata(checkpoint, &plan);
    plan.gguf_bytes = GgufLayout::new(&metadata, &new_tensors(&plan.tensors))?.file_bytes();
    Ok(plan)
}

/// Why there is no Hugging Face folder.
const QUANTIZED: &str = "quantized types exist in GGUF only";

/// A Hugging Face folder goes along when all matrices stay plain numbers of one kind.
fn plan_hf(checkpoint: &Checkpoint, request: &TypeRequest, tensors: &[TensorPlan]) -> HfPlan {
    let base = match request.base {
        TypeChoice::Uniform(base) => base,
        TypeChoice::Source => type_of_most(tensors),
        TypeChoice::Mix(_) => return HfPlan::Leave(QUANTIZED.to_owned()),
    };
    if !base.is_float() || tensors.iter().any(|tensor| tensor.id.role.is_matrix() && tensor.to != base) {
        return HfPlan::Leave(QUANTIZED.to_owned());
    }
    match hf::config::config_from_spec(&checkpoint.spec, base, checkpoint.config()) {
        Ok(_) => HfPlan::Write(base),
        Err(error) => HfPlan::Leave(error.to_string()),
    }
}
