//! From what the user asked for to a [`Plan`].

use secateur_model::gguf::GgufLayout;
use secateur_model::plan::{HfPlan, Plan, TensorPlan};
use secateur_model::stored::NewTensor;
use secateur_model::types::{TypeChoice, TypeRequest, plan_tensors};
use secateur_model::{Checkpoint, hf};

use crate::CompressError;
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
    let asked = std::iter::once(format!("type={}", request.base))
        .chain(request.overrides.iter().map(|rule| format!("tensor-type:{rule}")))
        .collect();
    let mut plan = Plan {
        schema: SCHEMA,
        source: checkpoint.name(),
        architecture: table.gguf_architecture.to_owned(),
        asked,
        file_type: request.file_type(),
        hf: plan_hf(checkpoint, request, &tensors),
        tensors,
        gguf_bytes: 0,
    };
    let metadata = artifact_metadata(checkpoint, &plan);
    plan.gguf_bytes = GgufLayout::new(&metadata, &new_tensors(&plan))?.file_bytes();
    Ok(plan)
}

/// A Hugging Face folder goes along when all matrices stay plain numbers of one kind.
fn plan_hf(checkpoint: &Checkpoint, request: &TypeRequest, tensors: &[TensorPlan]) -> HfPlan {
    let TypeChoice::Uniform(base) = request.base else {
        return HfPlan::Leave("quantized types exist in GGUF only".into());
    };
    if !base.is_float() || tensors.iter().any(|tensor| tensor.id.role.is_matrix() && tensor.to != base) {
        return HfPlan::Leave("quantized types exist in GGUF only".into());
    }
    match hf::config::config_from_spec(&checkpoint.spec, base, checkpoint.config()) {
        Ok(_) => HfPlan::Write(base),
        Err(error) => HfPlan::Leave(error.to_string()),
    }
}

/// The tensors of a plan as the GGUF writer takes them.
pub(crate) fn new_tensors(plan: &Plan) -> Vec<NewTensor> {
    plan.tensors
        .iter()
        .map(|tensor| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            tensor_type: tensor.to,
        })
        .collect()
}
