//! Llama's layers in sizes that differ from layer to layer: llama.cpp loads them under the name of DeciLM and Nemotron, whose layers do.

use super::{FamilyTable, Field, KeyRow, Written, key, llama};
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

/// Llama's, with the sizes of heads always written: llama.cpp would take them from the first layer's number of heads.
static KEYS: [KeyRow; 13] = {
    let mut keys = llama::KEYS;
    let mut index = 0;
    while index < keys.len() {
        let KeyRow { field, hf, gguf, .. } = keys[index];
        if matches!(field, Field::KeySize | Field::ValueSize) {
            keys[index] = key(field, hf, gguf, Written::Always);
        }
        index += 1;
    }
    keys
};
