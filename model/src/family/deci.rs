//! Llama's layers in sizes that differ from layer to layer: llama.cpp loads them under the name of DeciLM and Nemotron, whose layers do.

use super::{FamilyTable, KeyRow, llama, with_head_sizes};
use crate::spec::Family;

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Deci,
    gguf_architecture: "deci",
    // transformers builds all layers of such a model from one size
    model_types: &[],
    hf_architecture: "",
    tensors: &llama::TENSORS,
    keys: &KEYS,
    habits: llama::HABITS,
    uneven: Some(Family::Deci),
};

static KEYS: [KeyRow; 13] = with_head_sizes(llama::KEYS);
