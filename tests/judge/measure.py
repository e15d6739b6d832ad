"""What is measured on a stock model: probabilities, perplexity, and divergence from another model.

Perplexity and divergence follow llama.cpp's `tools/perplexity`: the text in chunks of `n_ctx` tokens, the
first of each replaced by BOS where the model adds one, the second half of each scored.
"""

import math
import os
import time

import numpy

import llama

MAGIC = b"_logits_"
DROPPED_LOG_PROBABILITY = -16.0
"""Below it the base file holds no difference, and llama.cpp adds nothing to the divergence."""


class MeasureError(Exception):
    """What was asked cannot be measured; the text says why."""


def log_softmax(logits):
    """`[rows, vocabulary]` logits as log-probabilities, summed in f64."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True, dtype=numpy.float64))


def softmax(logits):
    """Logits as probabilities."""
    return numpy.exp(log_softmax(logits))


def logits_of(model, prompts, last_only=False):
    """The logits after each token of each prompt (or after its last), each prompt on its own."""
    if not all(prompts):
        raise MeasureError("a prompt has no tokens")
    context = llama.Context(model, max(map(len, prompts)), exact=True)
    for prompt in prompts:
        context.clear()
        yield context.logits(prompt, first=len(prompt) - 1 if last_only else 0)


def greedy(model, prompt, count):
    """Up to `count` ids: the likeliest each time, until the model ends."""
    if not prompt:
        raise MeasureError("the prompt has no tokens")
    context = llama.Context(model, len(prompt) + count)
    ids, tokens = [], prompt
    while len(ids) < count:
        token = int(context.logits(tokens, first=len(tokens) - 1)[0].argmax())
        if model.llama.vocab_is_eog(model.vocabulary, token):
            break
        ids.append(token)
        tokens = [token]
    return ids


def prefill(model, tokens, runs):
    """The seconds that a prompt takes, with the logits of its last token, in each of several runs."""
    context = llama.Context(model, len(tokens))
    seconds = []
    for _ in range(runs + 1):
        context.clear()
        start = time.perf_counter()
        context.logits(tokens, first=len(tokens) - 1)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[1:]}  # the first warms up


def peak_memory(stock, path, load_mode, length):
    """The bytes by which this process grows at most while it loads a model and fills a context of `length` tokens."""
    before = _status("VmRSS")
    model = llama.Model(stock, path, load_mode=load_mode)
    context = llama.Context(model, length, threads=1, windowed=True)
    tokens = [1 + index % 1000 for index in range(length - 1)]
    context.logits(tokens, first=length - 2)
    context.logits([1])
    return {"bytes": _status("VmHWM") - before}


def _status(field):
    """Bytes of a field of Linux's /proc/self/status."""
    with open("/proc/self/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    raise MeasureError(f"/proc/self/status has no {field}")


def speed(model, path, type_name, threads, repetitions, prompt=64, generated=16):
    """Entries of llama-bench: a prompt of `prompt` tokens, and `generated` tokens one by one; the fastest run each, since
    other programs make a run slower and never faster."""
    context = llama.Context(model, max(prompt, generated) + 1, threads=threads)
    tokens = [1 + index % 1000 for index in range(prompt)]
    prefills, decodes = [], []
    for _ in range(repetitions):
        context.clear()
        start = time.perf_counter()
        context.logits(tokens, first=prompt - 1)
        prefills.append(time.perf_counter() - start)
        context.clear()
        start = time.perf_counter()
        for token in tokens[:generated]:
            context.logits([token])
        decodes.append(time.perf_counter() - start)
    about = model.description()

    def entry(n_prompt, n_gen, seconds):
        return {
            "model_filename": os.fspath(path),
            "model_type": f"{about['architecture']} {type_name}",
            "model_size": about["tensor_bytes"],
            "model_n_params": about["parameters"],
            "n_threads": threads,
            "n_prompt": n_prompt,
            "n_gen": n_gen,
            "n_depth": 0,
            "avg_ts": (n_prompt + n_gen) / seconds,
        }

    return [entry(prompt, 0, min(prefills)), entry(0, generated, min(decodes))]


def perplexity(model, text, n_ctx, chunks, save_base):
    """The perplexity of the first chunks of a text; with `save_base`, llama.cpp's file of log-probabilities."""
    tokens = model.tokenize(text)
    if len(tokens) < 2 * n_ctx:
        raise MeasureError(f"the text has {len(tokens)} tokens, fewer than two contexts of {n_ctx}")
    chunks = min(chunks or len(tokens), len(tokens) // n_ctx)
    tokens = numpy.array(tokens[: chunks * n_ctx], dtype=numpy.int32)
    base = BaseWriter(save_base, tokens, n_ctx, model.vocabulary_size) if save_base else None
    losses = []
    for logits, targets in scored_chunks(model, tokens, n_ctx):
        losses.append(-log_softmax(logits)[numpy.arange(len(targets)), targets])
        if base:
            base.write(logits)
    if base:
        base.close()
    mean, error = mean_and_error(numpy.concatenate(losses))
    return {
        "perplexity": math.exp(mean),
        "perplexity_error": math.exp(mean) * error,
        "loss": mean,
        "loss_of_chunk": [float(chunk.mean()) for chunk in losses],
        "scored_tokens": sum(map(len, losses)),
    }


def divergence(model, base_path, cache):
    """The statistics that llama.cpp prints of a model against the base file of another, as plain fractions; its keys and values are kept in
    llama.cpp's usual type, or in `cache`."""
    with BaseReader(base_path) as base:
        if base.vocabulary_size != model.vocabulary_size:
            raise MeasureError(f"the base has {base.vocabulary_size} tokens, the model {model.vocabulary_size}")
        rows = [
            compare(logits, base.read(), targets)
            for logits, targets in scored_chunks(model, base.tokens, base.n_ctx, cache)
        ]
    kld, loss, base_loss, same_top = (numpy.concatenate(column) for column in zip(*rows))
    change = numpy.exp(-loss) - numpy.exp(-base_loss)
    kld_mean, kld_error = mean_and_error(kld)
    ratio, _ = mean_and_error(loss - base_loss)
    return {
        "mean": kld_mean,
        "mean_error": kld_error,
        "mean_of_chunk": [float(row[0].mean()) for row in rows],
        "median": float(numpy.median(kld)),
        "percentile_99": float(numpy.percentile(kld, 99)),
        "maximum": float(kld.max()),
        "same_top": float(same_top.mean()),
        "log_perplexity_ratio": ratio,
        "rms_probability_change": math.sqrt(float((change**2).mean())),
        "perplexity": math.exp(float(loss.mean())),
        "base_perplexity": math.exp(float(base_loss.mean())),
        "scored_tokens": len(kld),
    }


def scored_chunks(model, tokens, n_ctx, cache=None):
    """For each chunk, the logits at the positions of its second half but the last, and the tokens that follow."""
    if model.llama.vocab_get_add_eos(model.vocabulary):
        raise MeasureError("the model adds an end token, as llama-perplexity refuses")
    first = n_ctx // 2
    context = llama.Context(model, n_ctx, cache=cache)
    for chunk in tokens.reshape(-1, n_ctx):
        seen = chunk.tolist()
        if model.llama.vocab_get_add_bos(model.vocabulary):
            seen[0] = model.llama.vocab_bos(model.vocabulary)
        context.clear()
        yield context.logits(seen, first)[:-1], chunk[first + 1 :]


def compare(logits, base, targets):
    """Of each scored token: its divergence from the base, its loss, its loss in the base, and whether both
    models hold the same token for the likeliest."""
    log_probabilities = log_softmax(logits)
    kept = numpy.where(base > DROPPED_LOG_PROBABILITY, numpy.exp(base), 0.0)
    kld = (kept * (base - log_probabilities)).sum(axis=-1, dtype=numpy.float64)
    row = numpy.arange(len(targets))
    same_top = logits.argmax(axis=-1) == base.argmax(axis=-1)
    return kld, -log_probabilities[row, targets], -base[row, targets].astype(numpy.float64), same_top


def mean_and_error(values):
    """The mean and its standard error, as llama.cpp has them."""
    values = values.astype(numpy.float64)
    mean = float(values.mean())
    variance = float((values**2).mean()) - mean * mean
    return mean, math.sqrt(max(variance, 0.0) / (len(values) - 1))


class BaseWriter:
    """llama.cpp's `--kl-divergence-base` file: a header with the tokens, then per scored token a scale, the
    least log-probability kept, and one u16 of steps above it for each token of the vocabulary."""

    def __init__(self, path, tokens, n_ctx, vocabulary_size):
        self.out = open(path, "wb")
        self.vocabulary_size = vocabulary_size
        self.out.write(MAGIC)
        self.out.write(numpy.array([n_ctx, vocabulary_size, len(tokens) // n_ctx], "<i4").tobytes())
        self.out.write(tokens.astype("<i4").tobytes())

    def write(self, logits):
        """One chunk's scored logits, `[rows, vocabulary]`."""
        greatest = logits.max(axis=-1, keepdims=True)
        least = numpy.maximum(logits.min(axis=-1, keepdims=True), greatest + numpy.float32(DROPPED_LOG_PROBABILITY))
        total = numpy.log(numpy.exp(logits - greatest).sum(axis=-1, keepdims=True, dtype=numpy.float64))
        scale = (greatest - least) / numpy.float32(65535)
        with numpy.errstate(divide="ignore", invalid="ignore"):  # a row of equal logits has scale 0
            steps = numpy.where(scale > 0, numpy.rint((logits - least) / scale), 0)
        record = numpy.zeros(len(logits), _record(self.vocabulary_size))
        record["scale"] = scale[:, 0]
        record["least"] = (least - greatest - total)[:, 0]
        record["steps"][:, : self.vocabulary_size] = numpy.clip(steps, 0, 65535)
        self.out.write(record.tobytes())

    def close(self):
        self.out.close()


class BaseReader:
    """Reads what `BaseWriter` or llama-perplexity wrote, chunk by chunk."""

    def __init__(self, path):
        self.path, self.file = path, open(path, "rb")
        if self._bytes(len(MAGIC)) != MAGIC:
            raise MeasureError(f"{path} is no file of log-probabilities")
        self.n_ctx, self.vocabulary_size, chunks = numpy.frombuffer(self._bytes(12), "<i4").tolist()
        self.tokens = numpy.frombuffer(self._bytes(4 * self.n_ctx * chunks), "<i4")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self):
        """The next chunk's log-probabilities, `[rows, vocabulary]`."""
        record = _record(self.vocabulary_size)
        rows = self.n_ctx - 1 - self.n_ctx // 2
        data = numpy.frombuffer(self._bytes(rows * record.itemsize), record)
        return data["scale"][:, None] * data["steps"][:, : self.vocabulary_size] + data["least"][:, None]

    def _bytes(self, count):
        data = self.file.read(count)
        if len(data) != count:
            raise MeasureError(f"{self.path} ends early")
        return data


def _record(vocabulary_size):
    even = 2 * ((vocabulary_size + 1) // 2)
    return numpy.dtype([("scale", "<f4"), ("least", "<f4"), ("steps", "<u2", (even,))])
