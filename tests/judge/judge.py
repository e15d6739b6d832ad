#!/usr/bin/env python3
"""Judges model files by stock llama.cpp, and answers in JSON on standard output.

Exit status 0 with the answer, or 1 with `{"error": "..."}`. Run it by the Python of the fixtures:
    ~/.cache/secateur/fixtures/venv/bin/python tests/judge/judge.py load MODEL.gguf
"""

import argparse
import json
import os
import sys
from pathlib import Path

import imatrix
import llama
import measure
import watch


def load(stock, arguments):
    """The whole model, every tensor checked."""
    return llama.Model(stock, arguments.model).description()


def tokenize(stock, arguments):
    """The ids of each text of a JSON array on standard input."""
    model = llama.Model(stock, arguments.model, vocabulary_only=True)
    return {"ids": [model.tokenize(text, arguments.add_special, arguments.parse_special) for text in json.load(sys.stdin)]}


def next_token(stock, arguments):
    """The probabilities of the token after each prompt of a JSON array on standard input, written as raw f32."""
    model = llama.Model(stock, arguments.model)
    prompts = [_tokens(model, prompt) for prompt in json.load(sys.stdin)]
    probabilities = [measure.softmax(logits[-1]) for logits in measure.logits_of(model, prompts, last_only=True)]
    return _write_rows(arguments.out, probabilities, model)


def logits(stock, arguments):
    """The logits after every token of each prompt of a JSON array on standard input, written as raw f32."""
    model = llama.Model(stock, arguments.model)
    prompts = [_tokens(model, prompt) for prompt in json.load(sys.stdin)]
    rows = [row for logits in measure.logits_of(model, prompts) for row in logits]
    return _write_rows(arguments.out, rows, model)


def greedy(stock, arguments):
    """The likeliest continuation of a prompt, token by token."""
    model = llama.Model(stock, arguments.model)
    ids = measure.greedy(model, model.tokenize(arguments.prompt), arguments.count)
    return {"ids": ids, "text": model.text(ids)}


def prefill(stock, arguments):
    """How long a prompt takes: token ids, a JSON array on standard input."""
    return measure.prefill(llama.Model(stock, arguments.model), json.load(sys.stdin), arguments.runs)


def peak_memory(stock, arguments):
    """How much memory a model takes at most, its context filled; this process does nothing else."""
    return measure.peak_memory(stock, arguments.model, arguments.load_mode, arguments.ctx)


def speed(stock, arguments):
    """As llama-bench -o json: tokens per second of a prompt and of generation, the fastest of several runs each."""
    return measure.speed(llama.Model(stock, arguments.model), arguments.model, arguments.type, arguments.threads, arguments.repetitions)


def perplexity(stock, arguments):
    """As llama-perplexity: the perplexity of a text, and on request the base file of a divergence."""
    model = llama.Model(stock, arguments.model)
    text = Path(arguments.text).read_text(encoding="utf-8")
    return measure.perplexity(model, text, arguments.ctx, arguments.chunks, arguments.save_base)


def divergence(stock, arguments):
    """As llama-perplexity --kl-divergence: how far the model is from the one that wrote the base file."""
    return measure.divergence(llama.Model(stock, arguments.model), arguments.base, arguments.cache_type)


def quantize(stock, arguments):
    """As llama-quantize: another file of the same model."""
    params = stock.model_quantize_default_params()
    params.nthread = llama.THREADS
    params.ftype = llama.FILE_TYPES[arguments.type]
    params.allow_requantize = arguments.allow_requantize
    params.pure = arguments.pure
    if arguments.output_tensor_type:
        params.output_tensor_type = stock.tensor_type(arguments.output_tensor_type)
    if arguments.token_embedding_type:
        params.token_embedding_type = stock.tensor_type(arguments.token_embedding_type)
    weights = None
    if arguments.imatrix:
        weights, _numbers = imatrix.data(imatrix.load(arguments.llama or _fixtures() / "llama.cpp", arguments.imatrix)[0])
    stock.quantize(arguments.model, arguments.out, params, [rule.split("=") for rule in arguments.tensor_type], weights)
    return {"bytes": os.path.getsize(arguments.out)}


def read_imatrix(_stock, arguments):
    """An importance matrix as llama-quantize reads it: mean squares by tensor, and the number of chunks."""
    entries, chunks = imatrix.load(arguments.llama or _fixtures() / "llama.cpp", arguments.model)
    return {"entries": {name: values.tolist() for name, values in entries.items()}, "chunks": chunks}


def moments(stock, arguments):
    """Second moments and means of what some matrices read, for the sequences and names in a JSON object on
    standard input: written as raw f32, of each matrix `[n, n]` and `[n]`."""
    question = json.load(sys.stdin)
    model = llama.Model(stock, arguments.model)
    averages, influence = watch.moments(model, question["sequences"], question["matrices"])
    with open(arguments.out, "wb") as out:
        for name in question["matrices"]:
            for values in averages[name]:
                out.write(values.astype("<f4").tobytes())
    return {"widths": [len(averages[name][1]) for name in question["matrices"]], "block_influence": influence}


def _tokens(model, prompt):
    """A prompt is a text, or token ids that are taken as they are."""
    return model.tokenize(prompt) if isinstance(prompt, str) else prompt


def _write_rows(path, rows, model):
    with open(path, "wb") as out:
        for row in rows:
            out.write(row.astype("<f4").tobytes())
    return {"rows": len(rows), "columns": model.vocabulary_size}


def _parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", help="folder of llama.cpp's libraries, by default that of the fixtures")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function):
        name = function.__name__.replace("_", "-")
        subparser = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        subparser.set_defaults(run=function)
        subparser.add_argument("model")
        return subparser

    command(load)
    options = command(tokenize)
    options.add_argument("--add-special", action="store_true")
    options.add_argument("--parse-special", action="store_true")
    command(next_token).add_argument("out")
    command(logits).add_argument("out")
    options = command(greedy)
    options.add_argument("prompt")
    options.add_argument("count", type=int)
    command(prefill).add_argument("runs", type=int)
    options = command(peak_memory)
    options.add_argument("--load-mode", default="mmap", help="llama.cpp's own word: mmap or none")
    options.add_argument("--ctx", type=int, default=512)
    options = command(speed)
    options.add_argument("type", help="what the type is called, for example Q4_0")
    options.add_argument("--threads", type=int, default=llama.THREADS)
    options.add_argument("--repetitions", type=int, default=5)
    options = command(perplexity)
    options.add_argument("text")
    options.add_argument("--ctx", type=int, default=512)
    options.add_argument("--chunks", type=int)
    options.add_argument("--save-base", metavar="FILE")
    options = command(divergence)
    options.add_argument("base")
    options.add_argument("--cache-type", metavar="TYPE")
    options = command(quantize)
    options.add_argument("out")
    options.add_argument("type", choices=llama.FILE_TYPES)
    options.add_argument("--allow-requantize", action="store_true")
    options.add_argument("--pure", action="store_true")
    options.add_argument("--output-tensor-type", metavar="TYPE")
    options.add_argument("--token-embedding-type", metavar="TYPE")
    options.add_argument("--tensor-type", metavar="PATTERN=TYPE", action="append", default=[])
    options.add_argument("--imatrix", metavar="FILE")
    command(read_imatrix)
    command(moments).add_argument("out")
    return parser.parse_args(arguments)


def _fixtures():
    return Path(os.environ.get("SECATEUR_FIXTURES") or Path.home() / ".cache/secateur/fixtures")


def main():
    arguments = _parse(sys.argv[1:])
    try:
        answer = arguments.run(llama.Llama(arguments.llama or _fixtures() / "llama.cpp"), arguments)
    except (llama.LlamaError, measure.MeasureError, OSError, UnicodeError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
