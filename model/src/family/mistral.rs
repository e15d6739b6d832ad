//! Mistral: Llama with a sliding window; GGUF files call it `llama`.

use super::{BiasRule, FamilyTable, Habits, llama};
use crate::spec::Family;

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Mistral,
    gguf_architecture: "llama",
    model_types: &["mistral"],
    hf_architecture: "MistralForCausalLM",
    tensors: &llama::TENSORS,
    keys: &llama::KEYS,
    habits: Habits {
        qkv_bias: BiasRule::Never,
        output_bias: BiasRule::Never,
        ffn_bias: BiasRule::Never,
        ..llama::HABITS
    },
    uneven: None,
};
