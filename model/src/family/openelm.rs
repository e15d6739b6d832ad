//! Qwen 3's layers in sizes that differ from layer to layer: llama.cpp loads them under the name of OpenELM, whose layers do. There query, key
//! and value are one matrix, and the embedding is the output matrix.

use super::{FamilyTable, Habits, KeyRow, TensorRow, qwen2, qwen3, tensor, with_head_sizes};
use crate::role::Role;
use crate::spec::Family;

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::OpenElm,
    gguf_architecture: "openelm",
    // Apple's own OpenELM is code that comes with its models
    model_types: &[],
    hf_architecture: "",
    tensors: &TENSORS,
    keys: &KEYS,
    habits: Habits { joined_qkv: true, always_tied: true, ..qwen3::HABITS },
    uneven: Some(Family::OpenElm),
};

const QKV: &str = "blk.{}.attn_qkv.weight";

const TENSORS: [TensorRow; 13] = [
    tensor(Role::TokenEmbedding, "", "token_embd.weight"),
    tensor(Role::OutputNorm, "", "output_norm.weight"),
    tensor(Role::AttentionNorm, "", "blk.{}.attn_norm.weight"),
    // one after the other, as their rows are in the joined matrix
    tensor(Role::AttentionQuery, "", QKV),
    tensor(Role::AttentionKey, "", QKV),
    tensor(Role::AttentionValue, "", QKV),
    tensor(Role::AttentionQueryNorm, "", "blk.{}.attn_q_norm.weight"),
    tensor(Role::AttentionKeyNorm, "", "blk.{}.attn_k_norm.weight"),
    tensor(Role::AttentionOutput, "", "blk.{}.attn_output.weight"),
    tensor(Role::FfnNorm, "", "blk.{}.ffn_norm.weight"),
    tensor(Role::FfnGate, "", "blk.{}.ffn_gate.weight"),
    tensor(Role::FfnUp, "", "blk.{}.ffn_up.weight"),
    tensor(Role::FfnDown, "", "blk.{}.ffn_down.weight"),
];

static KEYS: [KeyRow; 11] = with_head_sizes(qwen2::KEYS);
