//! Qwen 2 and 2.5: biases on query, key and value.

use super::{BiasRule, FamilyTable, Field, Habits, KeyRow, TensorRow, Written, key, llama, tensor};
use crate::role::Role;
use crate::spec::Family;

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Qwen2,
    gguf_architecture: "qwen2",
    model_types: &["qwen2"],
    hf_architecture: "Qwen2ForCausalLM",
    tensors: &TENSORS,
    keys: &KEYS,
    habits: Habits {
        qkv_bias: BiasRule::Always,
        output_bias: BiasRule::Never,
        ffn_bias: BiasRule::Never,
        interleaved_rope: false,
        ..llama::HABITS
    },
    uneven: Some(Family::Deci),
};

const TENSORS: [TensorRow; 15] = [
    tensor(Role::TokenEmbedding, "model.embed_tokens.weight", "token_embd.weight"),
    tensor(Role::OutputNorm, "model.norm.weight", "output_norm.weight"),
    tensor(Role::Output, "lm_head.weight", "output.weight"),
    tensor(Role::AttentionNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"),
    tensor(Role::AttentionQuery, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"),
    tensor(Role::AttentionQueryBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"),
    tensor(Role::AttentionKey, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"),
    tensor(Role::AttentionKeyBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"),
    tensor(Role::AttentionValue, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"),
    tensor(Role::AttentionValueBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"),
    tensor(Role::AttentionOutput, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"),
    tensor(Role::FfnNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"),
    tensor(Role::FfnGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"),
    tensor(Role::FfnUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"),
    tensor(Role::FfnDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"),
];

/// llama.cpp's readers of this family take vocabulary and rotary size from elsewhere.
pub(super) const KEYS: [KeyRow; 11] = [
    key(Field::LayerCount, "num_hidden_layers", "block_count", Written::Always),
    key(Field::ContextLength, "max_position_embeddings", "context_length", Written::Always),
    key(Field::HiddenSize, "hidden_size", "embedding_length", Written::Always),
    key(Field::FfnWidth, "intermediate_size", "feed_forward_length", Written::Always),
    key(Field::Heads, "num_attention_heads", "attention.head_count", Written::Always),
    key(Field::KvHeads, "num_key_value_heads", "attention.head_count_kv", Written::Always),
    key(Field::RopeTheta, "rope_theta", "rope.freq_base", Written::Always),
    key(Field::NormEpsilon, "rms_norm_eps", "attention.layer_norm_rms_epsilon", Written::Always),
    key(Field::KeySize, "head_dim", "attention.key_length", Written::IfNeeded),
    key(Field::ValueSize, "head_dim", "attention.value_length", Written::IfNeeded),
    key(Field::VocabularySize, "vocab_size", "vocab_size", Written::Never),
];
