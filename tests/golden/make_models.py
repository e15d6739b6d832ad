"""Writes tests/golden/models/: tiny random models of each family with transformers' own logits, in f32 on the CPU.

    pip install transformers==5.23.0 torch==2.15.0 && python tests/golden/make_models.py

A folder holds config.json, model.safetensors and golden.safetensors: `input_ids` `[2, 24]` and `logits` `[2, 24, vocabulary]`,
and of a longer text `long_ids` `[600]` and the `long_logits` after every 40th token, `[15, vocabulary]`.
Weights are larger than a fresh model's, and norms and biases are random, so that a mistake shows. The files in the
repository were made by transformers 5.23.0 and torch 2.15.0.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
    Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM,
)

FOLDER = Path(__file__).parent / "models"
SIZES = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}
LLAMA3_ROPE = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LLAMA = {**SIZES, "rms_norm_eps": 1e-5}
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**LLAMA, tie_word_embeddings=False, rope_theta=10000.0)),
    "llama-tied-rope-scaled": (
        LlamaForCausalLM,
        LlamaConfig(
            **{**LLAMA, "max_position_embeddings": 512}, tie_word_embeddings=True, rope_theta=500000.0, head_dim=32,
            rope_scaling=LLAMA3_ROPE,
        ),
    ),
    "mistral-window": (MistralForCausalLM, MistralConfig(**SIZES, sliding_window=8, head_dim=16)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, tie_word_embeddings=True, head_dim=32)),
    "gemma3": (
        Gemma3ForCausalLM,
        Gemma3TextConfig(**{**SIZES, "num_hidden_layers": 7}, head_dim=32, sliding_window=8, query_pre_attn_scalar=32),
    ),
}


def randomize(model, norm_mean):
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.mul_(3.0)
        else:
            mean = norm_mean if "norm" in name.lower() else 0.0
            parameter.copy_(mean + 0.1 * torch.randn_like(parameter))


@torch.no_grad()
def make(name, kind, config):
    torch.manual_seed(1234)
    model = kind(config).eval()
    randomize(model, norm_mean=0.0 if "gemma" in name else 1.0)  # Gemma stores `weight - 1`
    model.save_pretrained(FOLDER / name)
    ids = torch.randint(4, 256, (2, 24), generator=torch.Generator().manual_seed(5))
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    long_ids = torch.randint(4, 256, (600,), generator=torch.Generator().manual_seed(6))
    long_logits = model(input_ids=long_ids[None]).logits[0, ::40]
    golden = {
        "input_ids": ids, "logits": logits.contiguous(), "long_ids": long_ids, "long_logits": long_logits.contiguous(),
    }
    save_file(golden, FOLDER / name / "golden.safetensors")


if __name__ == "__main__":
    for name, (kind, config) in MODELS.items():
        make(name, kind, config)
