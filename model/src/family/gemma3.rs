//! Gemma 3 (text): five windowed layers to one global, norms before and after, norms stored as `weight - 1`.

use super::{BiasRule, FamilyTable, Field, Habits, KeyRow, TensorRow, Written, key, tensor};
use crate::role::Role;
use crate::spec::{Activation, Family};

pub(super) static TABLE: FamilyTable = FamilyTable {
    family: Family::Gemma3,
    gguf_architecture: "gemma3",
    model_types: &["gemma3_text"],
    hf_architecture: "Gemma3ForCausalLM",
    tensors: &TENSORS,
    keys: &KEYS,
    habits: Habits {
        activation: Activation::GeluTanh,
        activation_key: ("hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias: BiasRule::Never,
        output_bias: BiasRule::Never,
        ffn_bias: BiasRule::Never,
        query_key_norm: true,
        post_norms: true,
        scaled_embedding: true,
        norm_offset: 1.0,
        interleaved_rope: false,
        global_every: 6,
        local_rope_theta: Some(10_000.0),
        tied_by_default: true,
        llama_cpp_uses_window: true,
        joined_qkv: false,
        always_tied: false,
    },
    uneven: None,
};

const TENSORS: [TensorRow; 16] = [
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
    tensor(
        Role::AttentionPostNorm,
        "model.layers.{}.post_attention_layernorm.weight",
        "blk.{}.post_attention_norm.weight",
    ),
    tensor(Role::FfnNorm, "model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight"),
    tensor(Role::FfnGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"),
    tensor(Role::FfnUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"),
    tensor(Role::FfnDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"),
    tensor(
        Role::FfnPostNorm,
        "model.layers.{}.post_feedforward_layernorm.weight",
        "blk.{}.post_ffw_norm.weight",
    ),
];

const KEYS: [KeyRow; 16] = [
    key(Field::ContextLength, "max_position_embeddings", "context_length", Written::Always),
    key(Field::HiddenSize, "hidden_size", "embedding_length", Written::Always),
    key(Field::LayerCount, "num_hidden_layers", "block_count", Written::Always),
    key(Field::FfnWidth, "intermediate_size", "feed_forward_length", Written::Always),
    key(Field::Heads, "num_attention_heads", "attention.head_count", Written::Always),
    key(Field::NormEpsilon, "rms_norm_eps", "attention.layer_norm_rms_epsilon", Written::Always),
    key(Field::KeySize, "head_dim", "attention.key_length", Written::Always),
    key(Field::ValueSize, "head_dim", "attention.value_length", Written::Always),
    key(Field::RopeTheta, "rope_theta", "rope.freq_base", Written::Always),
    key(Field::FinalLogitSoftcap, "final_logit_softcapping", "final_logit_softcapping", Written::IfNeeded),
    key(Field::AttentionLogitSoftcap, "attn_logit_softcapping", "attn_logit_softcapping", Written::Never),
    key(Field::Window, "sliding_window", "attention.sliding_window", Written::IfNeeded),
    key(Field::KvHeads, "num_key_value_heads", "attention.head_count_kv", Written::Always),
    key(Field::LocalRopeTheta, "rope_local_base_freq", "rope.freq_base_swa", Written::IfNeeded),
    key(Field::VocabularySize, "vocab_size", "vocab_size", Written::Never),
    key(Field::AttentionScaleBase, "query_pre_attn_scalar", "", Written::Never),
];
