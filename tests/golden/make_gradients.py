"""Writes tests/golden/gradients.safetensors: PyTorch's gradients of the tiny models that make_models.py made.

    pip install transformers==5.23.0 torch==2.15.0 && python tests/golden/make_gradients.py

Two texts: the first 300 tokens of a golden.safetensors' `long_ids` and the first row of its `input_ids`, with random `labels`
`[324]`; the loss is the sum of `-log p(label)` over all positions. For every linear layer, by its name in the model, the mean over
tokens of the squared gradient at its output, `[out_features]`; and of the gradient at the embedding's output every 25th token,
`embedding`, `[13, hidden]`. Computed in f64, kept in f32. All names begin with the model's; `gemma3-capped` is `gemma3` with soft
caps, of which transformers' Gemma 3 reads that of the logits alone: the attention's is handed to its attention function.
"""

from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.gemma3 import modeling_gemma3

FOLDER = Path(__file__).parent
MODELS = ["llama", "llama-tied-rope-scaled", "mistral-window", "qwen2", "qwen3", "gemma3"]
FINAL_CAP, ATTENTION_CAP = 5.0, 2.0


def gradients(folder, capped=False):
    config = AutoConfig.from_pretrained(folder)
    if capped:
        config.final_logit_softcapping = FINAL_CAP
        attention = modeling_gemma3.eager_attention_forward
        modeling_gemma3.eager_attention_forward = partial(attention, softcap=ATTENTION_CAP)
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, attn_implementation="eager").double().eval()
    golden = load_file(folder / "golden.safetensors")
    texts = [golden["long_ids"][:300], golden["input_ids"][0]]
    labels = torch.randint(0, config.vocab_size, (324,), generator=torch.Generator().manual_seed(7))
    passing = {}

    def keep(name, module):
        def hook(_, __, output):
            output.register_hook(lambda gradient: passing.setdefault(name, []).append(gradient[0]))

        module.register_forward_hook(hook)

    for name, module in model.model.layers.named_modules(prefix="layers"):
        if isinstance(module, torch.nn.Linear):
            keep(name, module)
    keep("embedding", model.model.embed_tokens)
    for ids, labels_of_text in zip(texts, labels.split([300, 24])):
        logits = model(input_ids=ids[None], attention_mask=torch.ones_like(ids[None])).logits[0]
        torch.nn.functional.cross_entropy(logits, labels_of_text, reduction="sum").backward()
    results = {name: torch.cat(of_texts) for name, of_texts in passing.items()}
    embedding = results.pop("embedding")[::25]
    results = {name: gradient.pow(2).mean(dim=0) for name, gradient in results.items()}
    results = {name: values.float().contiguous() for name, values in {**results, "embedding": embedding}.items()}
    return {**results, "labels": labels}


if __name__ == "__main__":
    kept = {}
    models = {name: gradients(FOLDER / "models" / name) for name in MODELS}
    models["gemma3-capped"] = gradients(FOLDER / "models" / "gemma3", capped=True)
    for name, values in models.items():
        kept.update({f"{name}/{key}": value for key, value in values.items()})
    save_file(kept, FOLDER / "gradients.safetensors")
