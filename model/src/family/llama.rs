//! Llama and its likes: SmolLM2, TinyLlama, Llama 2 and 3.

use super::{BiasRule, FamilyTable, Field, Habits, KeyRow, TensorRow, Written, key, tensor};
use crate::role::Role;
use crate::spec::{Activation, Family};

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Llama,
    gguf_architecture: "llama",
    model_types: &["llama"],
    hf_architecture: "LlamaForCausalLM",
    tensors: &TENSORS,
    keys: &KEYS,
    habits: HABITS,
    uneven: Some(Family::Deci),
};

pub(super) const TENSORS: [TensorRow; 20] = [
    tensor(Role::TokenEmbedding, "model.embed_tokens.weight", "token_embd.weight"),
    tensor(Role::OutputNorm, "model.norm.weight", "output_norm.weight"),
    tensor(Role::Output, "lm_head.weight", "output.weight"),
    tensor(Role::RopeFactors, "", "rope_freqs.weight"),
    tensor(Role::AttentionNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"),
    tensor(Role::AttentionQuery, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"),
    tensor(Role::AttentionQueryBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"),
    tensor(Role::AttentionKey, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"),
    tensor(Role::AttentionKeyBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"),
    tensor(Role::AttentionValue, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"),
    tensor(Role::AttentionValueBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"),
    tensor(Role::AttentionOutput, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"),
    tensor(Role::AttentionOutputBias, "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"),
    tensor(Role::FfnNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"),
    tensor(Role::FfnGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"),
    tensor(Role::FfnGateBias, "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"),
    tensor(Role::FfnUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"),
    tensor(Role::FfnUpBias, "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"),
    tensor(Role::FfnDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"),
    tensor(Role::FfnDownBias, "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"),
];

pub(super) const KEYS: [KeyRow; 13] = [
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
    key(Field::VocabularySize, "vocab_size", "vocab_size", Written::Always),
    key(Field::RopeDimensions, "head_dim", "rope.dimension_count", Written::Always),
    key(Field::Window, "sliding_window", "attention.sliding_window", Written::Never),
];

pub(super) const HABITS: Habits = Habits {
    activation: Activation::Silu,
    activation_key: ("hidden_act", "silu"),
    qkv_bias: BiasRule::Config("attention_bias"),
    output_bias: BiasRule::Config("attention_bias"),
    ffn_bias: BiasRule::Config("mlp_bias"),
    query_key_norm: false,
    post_norms: false,
    scaled_embedding: false,
    norm_offset: 0.0,
    interleaved_rope: true,
    global_every: 0,
    local_rope_theta: None,
    tied_by_default: false,
    joined_qkv: false,
    always_tied: false,
    llama_cpp_uses_window: false,
};
