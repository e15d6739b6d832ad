//! Qwen 3 (dense): norms on queries and keys, no biases.

use super::{BiasRule, FamilyTable, Habits, TensorRow, llama, qwen2, tensor};
use crate::role::Role;
use crate::spec::Family;

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Qwen3,
    gguf_architecture: "qwen3",
    model_types: &["qwen3"],
    hf_architecture: "Qwen3ForCausalLM",
    tensors: &TENSORS,
    keys: &qwen2::KEYS,
    habits: HABITS,
    uneven: Some(Family::OpenElm),
};

pub(super) const HABITS: Habits = Habits {
    qkv_bias: BiasRule::Never,
    output_bias: BiasRule::Never,
    ffn_bias: BiasRule::Never,
    query_key_norm: true,
    interleaved_rope: false,
    ..llama::HABITS
};

const TENSORS: [TensorRow; 14] = [
    tensor(Role::TokenEmbedding, "model.embed_tokens.weight", "token_embd.weight"),
    tensor(Role::OutputNorm, "model.norm.weight", "output_norm.weight"),
    tensor(Role::Output, "lm_head.weight", "output.weight"),
    tensor(Role::AttentionNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"),
    tensor(Role::AttentionQuery, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"),
    tensor(Role::AttentionQueryNorm, "model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"),
    tensor(Role::AttentionKey, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"),
    tensor(Role::AttentionKeyNorm, "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"),
    tensor(Role::AttentionValue, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"),
    tensor(Role::AttentionOutput, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"),
    tensor(Role::FfnNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"),
    tensor(Role::FfnGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"),
    tensor(Role::FfnUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"),
    tensor(Role::FfnDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"),
];
