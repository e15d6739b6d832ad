//! What will be written: every tensor with its type, decided before anything is done.

use serde::{Deserialize, Serialize};

use crate::shape::ShapePlan;
use crate::stored::NewTensor;
use crate::{CacheType, Kept, Rounding, TensorId, TensorType};

/// What will be done, complete and explicit. Search proposes it, `--dry-run` prints it, `compress` executes it, the
/// artifact carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this format: 1.
    pub schema: u32,
    /// The model that is cut, as it names itself.
    pub source: String,
    /// `general.architecture` of the GGUF that will be written.
    pub architecture: String,
    /// What was asked for: `--type`, then every `--tensor-type`.
    pub asked: Vec<String>,
    /// `general.file_type` in GGUF (`enum llama_ftype`).
    pub file_type: u32,
    /// Which tokens stay, if not all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vocabulary: Option<VocabularyPlan>,
    /// Which layers, heads and channels stay, if not all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shape: Option<ShapePlan>,
    /// Every tensor, in the order in which it will be written.
    #[serde(serialize_with = "one_line_each")]
    pub tensors: Vec<TensorPlan>,
    /// How numbers become codes.
    #[serde(default)]
    pub rounding: Rounding,
    /// How a runtime is to keep keys and values, if not in its usual `f16`: it has to be told so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache: Option<CacheType>,
    /// SHA-256 of the calibration statistics that decided types or rounding.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub calibration: Option<String>,
    /// The Hugging Face folder that will stand beside the GGUF.
    pub hf: HfPlan,
    /// The exact size that model.gguf will have, in bytes.
    pub gguf_bytes: u64,
}

/// Hundreds of tensors read best as lines.
fn one_line_each<S: serde::Serializer>(tensors: &[TensorPlan], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tensors.iter().map(serde_saphyr::FlowMap))
}

/// Tensors of a plan as the GGUF writer takes them: those that have a name in common, one after the other, are one.
pub fn new_tensors(tensors: &[TensorPlan]) -> Vec<NewTensor> {
    let mut new: Vec<NewTensor> = Vec::with_capacity(tensors.len());
    for TensorPlan { name, shape, to, .. } in tensors {
        match new.last_mut() {
            Some(last) if last.name == *name && last.tensor_type == *to => last.shape[0] += shape[0],
            _ => new.push(NewTensor { name: name.clone(), shape: shape.clone(), tensor_type: *to }),
        }
    }
    new
}

/// What will become of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabularyPlan {
    /// Tokens that the source has.
    pub of: usize,
    /// The source's ids of those that stay; the new ids count them from 0.
    pub kept: Kept,
    /// The texts of tokens that come after them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub added: Vec<String>,
}

/// What will become of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorPlan {
    /// Which tensor.
    #[serde(flatten)]
    pub id: TensorId,
    /// Its name in the GGUF.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How the source stores it.
    pub from: TensorType,
    /// How it will be stored.
    pub to: TensorType,
    /// The type that was asked for, where its rows do not fill that type's blocks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead_of: Option<TensorType>,
    /// Its size in the GGUF, in bytes.
    pub bytes: u64,
    /// The divergence from the source, in nats per token, that this type was expected to cause by itself when it was chosen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub damage: Option<f64>,
}

/// Whether a Hugging Face folder will be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HfPlan {
    /// Yes, with all tensors in this type.
    Write(TensorType),
    /// No, and why.
    Leave(String),
}

impl TensorPlan {
    /// Numbers in the tensor.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    /// Stores it in a type that is legal for its rows.
    pub fn store_as(&mut self, to: TensorType) {
        let row_len = self.shape.last().copied().unwrap_or(1).max(1);
        // what is legal has a size
        let row_bytes = to.row_bytes(row_len).unwrap_or_default() as u64;
        (self.to, self.bytes) = (to, self.elements() / row_len as u64 * row_bytes);
    }
}

impl Plan {
    /// Tensors that get another type than was asked for.
    pub fn fallbacks(&self) -> impl Iterator<Item = &TensorPlan> {
        self.tensors.iter().filter(|tensor| tensor.instead_of.is_some())
    }

    /// The divergence from the source, in nats per token, that all matrices were expected to cause together when their types were chosen;
    /// `None` if the types were asked for by name.
    pub fn damage(&self) -> Option<f64> {
        self.tensors
            .iter()
            .filter_map(|tensor| tensor.damage)
            .fold(None, |sum, damage| Some(sum.unwrap_or(0.0) + damage))
    }

    /// Numbers in all tensors.
    pub fn elements(&self) -> u64 {
        self.tensors.iter().map(TensorPlan::elements).sum()
    }
}
