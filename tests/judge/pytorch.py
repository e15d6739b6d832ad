#!/usr/bin/env python3
"""Times prompts in stock transformers on PyTorch: f32, the logits of the last token only, no cache.

    PYTHON tests/judge/pytorch.py FOLDER THREADS

PYTHON has torch and transformers; FOLDER is a Hugging Face model. The first line on standard input is a JSON array of
token ids; for every line after it, one comes back: the seconds of a pass, and the likeliest next token.
"""

import json
import sys
import time

import torch
import transformers


def main(folder, threads):
    torch.set_num_threads(int(threads))
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([json.loads(sys.stdin.readline())])
    with torch.inference_mode():
        model(ids, use_cache=False, logits_to_keep=1)  # warms up
        for _ in sys.stdin:
            start = time.perf_counter()
            logits = model(ids, use_cache=False, logits_to_keep=1).logits
            seconds = time.perf_counter() - start
            print(json.dumps({"seconds": seconds, "next_token": int(logits[0, -1].argmax())}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
