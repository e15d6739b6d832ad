#!/usr/bin/env python3
"""Loads a Hugging Face folder in stock transformers and shows what it computes; with the GGUF file of the same
model, also how far stock llama.cpp's logits are from it, and whether both read the same ids from a thousand lines. Run by `tests/hf_check.sh FOLDER [GGUF]`."""

import json
import os
import sys
from pathlib import Path

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TESTS = Path(__file__).resolve().parent.parent
sys.path.append(str(TESTS / "judge"))
import llama
import measure

PROMPTS = ["The capital of France is", "def add(left, right):\n    return", "Once upon a time, there was"]
CONTINUED = 8
MOST_DIVERGENCE = 1e-3
"""llama.cpp computes f16 and bf16 models with activations of that type: 6e-5 for Gemma 3 270M in bf16."""


def main(folder, gguf=None):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    print(f"{type(model).__name__}: {model.num_parameters():,} parameters")
    has_tokenizer = (Path(folder) / "tokenizer.json").is_file()
    tokenizer = AutoTokenizer.from_pretrained(folder) if has_tokenizer else None
    stock = load_gguf(gguf) if gguf else None
    for index, prompt in enumerate(PROMPTS):
        # a folder without a tokenizer still computes: any ids do
        ids = tokenizer(prompt)["input_ids"] if tokenizer else list(range(index + 1, index + 9))
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].numpy()
            continued = model.generate(torch.tensor([ids]), max_new_tokens=CONTINUED, do_sample=False)[0].tolist()
        if not numpy.isfinite(logits).all():
            raise SystemExit(f"prompt {index}: logits are not finite")
        print(f"{prompt if tokenizer else ids!r}: {ids} continued by {continued[len(ids):]}")
        if tokenizer:
            print(f"    {tokenizer.decode(continued)!r}")
        top = logits[-1].argsort()[::-1][:5]
        print("    last logits:", ", ".join(f"{token}: {logits[-1][token]:.4f}" for token in top))
        if stock:
            compare(stock, ids, logits, prompt if tokenizer else None)
    if stock and tokenizer:
        compare_ids(stock, tokenizer)


def load_gguf(path):
    fixtures = os.environ.get("SECATEUR_FIXTURES") or Path.home() / ".cache/secateur/fixtures"
    return llama.Model(llama.Llama(Path(fixtures) / "llama.cpp"), path)


def compare(stock, ids, logits, prompt):
    """llama.cpp's view of the same ids, and whether it would have made the same ids of the prompt."""
    [other] = measure.logits_of(stock, [ids])
    if other.shape != logits.shape:
        raise SystemExit(f"llama.cpp has logits {other.shape}, transformers {logits.shape}")
    if prompt is not None and stock.tokenize(prompt) != ids:
        raise SystemExit(f"llama.cpp reads the prompt as {stock.tokenize(prompt)}, transformers as {ids}")
    of_transformers, of_llama = measure.log_softmax(logits), measure.log_softmax(other)
    divergence = (numpy.exp(of_transformers) * (of_transformers - of_llama)).sum(axis=-1)
    if divergence.mean() > MOST_DIVERGENCE:
        raise SystemExit(f"llama.cpp's KL divergence is {divergence.mean():.2e}, at most {MOST_DIVERGENCE:.0e} expected")
    same_top = (logits.argmax(axis=-1) == other.argmax(axis=-1)).mean()
    print(f"    llama.cpp: logits differ by {abs(logits - other).max():.2e} at most, "
          f"KL divergence {divergence.mean():.2e}, same top token {same_top:.0%}")


def compare_ids(stock, tokenizer):
    """The ids of the lines that the tests have, without special tokens."""
    lines = [json.loads(line) for line in (TESTS / "data/lines.jsonl").read_text().splitlines()]
    differing = [line for line in lines
                 if tokenizer(line, add_special_tokens=False)["input_ids"] != stock.tokenize(line, add_special=False,
                                                                                           parse_special=True)]
    print(f"ids of {len(lines)} lines: {len(lines) - len(differing)} as in llama.cpp")
    if differing:
        raise SystemExit("\n".join(["other ids for:", *map(repr, differing[:10])]))


if __name__ == "__main__":
    main(*sys.argv[1:])
