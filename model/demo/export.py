"""Writes the trained model as a Hugging Face folder and as one GGUF file, both in F16."""

import json
from pathlib import Path

import gguf
import numpy as np
from network import Shape
from safetensors.numpy import save_file

END_OF_TEXT = "<|endoftext|>"
LICENCE = "cc0-1.0"


def write_folder(folder: Path, shape: Shape, weights: dict[str, np.ndarray], tokenizer: dict) -> None:
    """`weights` are F16, named and laid out as Hugging Face has them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": shape.norm_epsilon,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": "float16",
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "model_max_length": shape.context,
    }
    for name, content in [
        ("config.json", config),
        ("generation_config.json", {"bos_token_id": 0, "eos_token_id": 0}),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", tokenizer_config),
    ]:
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_gguf(path: Path, shape: Shape, weights: dict[str, np.ndarray], tokenizer: dict) -> None:
    """The keys and tensors that llama.cpp's own converter writes for such a folder."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name("Secateur Demo")
    writer.add_description("A very small Llama trained on Jane Austen's six novels")
    writer.add_license(LICENCE)
    writer.add_languages(["en"])
    writer.add_size_label(gguf.size_label(sum(w.size for w in weights.values()), 0, 0, 0))
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_rope_dimension_count(shape.head)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_tokenizer(writer, tokenizer)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.layers)
    for name, weight in weights.items():
        if name.endswith("q_proj.weight"):
            weight = interleave_rope(weight, shape.heads)
        elif name.endswith("k_proj.weight"):
            weight = interleave_rope(weight, shape.kv_heads)
        if weight.ndim == 1:
            weight = weight.astype(np.float32)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict) -> None:
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([control if token in special else normal for token in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(tokenizer["model"]["vocab"][END_OF_TEXT])
    writer.add_eos_token_id(tokenizer["model"]["vocab"][END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def interleave_rope(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorders rows so that the two of a rotated pair, half a head apart in Hugging Face's
    layout, stand next to each other, where llama.cpp's `llama` architecture expects them.
    """
    paired = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(paired.swapaxes(1, 2).reshape(weight.shape))
