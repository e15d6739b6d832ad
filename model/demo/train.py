"""Trains the demo model and writes `demo.gguf` and `held_out.txt` beside this script.

    pip install -r requirements.txt
    python train.py --folder ../../out/demo-hf

It needs Debian's `apt-get` and `dpkg-deb` for the text, and about a quarter of an hour of one core.
"""

import argparse
import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

# One core, set before jax wakes up: sums are then made in one order.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import corpus
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from export import END_OF_TEXT, write_folder, write_gguf
from network import Shape, Weights, initial_weights, token_losses
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
SEED = 20
TOKENS_A_STEP = 2048
STEPS = 1200
SHORT_STEPS = 900
"""So many steps see half the context: attention over all of it is half of the work."""
WARM_UP = 100
MUON_RATE = 0.02
ADAM_RATE = 5e-3
SAMPLE_BYTES_A_CHAPTER = 3500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="Hugging Face folder to write")
    parser.add_argument("--cache", type=Path, default=Path("demo-text"))
    arguments = parser.parse_args()

    shape = Shape()
    text = corpus.load(arguments.cache)
    (HERE / "held_out.txt").write_text("".join(map(opening, text.held_out)))
    tokenizer = train_tokenizer(shape, text.train)
    train, held_out = tokenize(tokenizer, text.train), tokenize(tokenizer, text.held_out)
    print(f"train {train.size} tokens, held out {held_out.size} tokens")

    weights = train_weights(shape, train)
    rounded = {name: np.asarray(weight).astype(np.float16) for name, weight in weights.items()}
    report_losses(shape, rounded, tokenizer, train[: held_out.size], held_out)

    description = json.loads(tokenizer.to_str())
    write_folder(arguments.folder, shape, rounded, description)
    write_gguf(HERE / "demo.gguf", shape, rounded, description)
    print(f"demo.gguf {(HERE / 'demo.gguf').stat().st_size} bytes")


def opening(chapter: str) -> str:
    """The first paragraphs of a chapter, as many as fit in the sample."""
    fitting = chapter.encode()[:SAMPLE_BYTES_A_CHAPTER]
    return fitting[: fitting.rindex(b"\n") + 1].decode()


def train_tokenizer(shape: Shape, chapters: list[str]) -> Tokenizer:
    """Byte-level BPE with GPT-2's own pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chapters, trainer)
    assert tokenizer.get_vocab_size() == shape.vocabulary
    return tokenizer


def tokenize(tokenizer: Tokenizer, chapters: list[str]) -> np.ndarray:
    """All chapters in a row, each opened by the end-of-text token."""
    opener = tokenizer.token_to_id(END_OF_TEXT)
    return np.concatenate([[opener, *tokenizer.encode(chapter).ids] for chapter in chapters])


def train_weights(shape: Shape, tokens: np.ndarray) -> Weights:
    """Rates warm up, then fall along a cosine to a hundredth."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.partition(
            {
                "muon": optax.contrib.muon(cosine(MUON_RATE), weight_decay=0.01),
                "adam": optax.adamw(cosine(ADAM_RATE), b1=0.9, b2=0.98, weight_decay=0.0),
            },
            optimizer_of,
        ),
    )
    weights = initial_weights(shape, jax.random.key(SEED))
    state = optimizer.init(weights)

    @jax.jit
    def step(weights, state, batch):
        def mean_loss(weights):
            return token_losses(shape, weights, batch).mean()

        loss, gradient = jax.value_and_grad(mean_loss)(weights)
        update, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, update), state, loss

    random = np.random.default_rng(SEED)
    short = itertools.islice(endless_batches(tokens, shape.context // 2, random), SHORT_STEPS)
    full = itertools.islice(endless_batches(tokens, shape.context, random), STEPS - SHORT_STEPS)
    recent, start = [], time.monotonic()
    for number, batch in enumerate(itertools.chain(short, full), 1):
        weights, state, loss = step(weights, state, batch)
        recent.append(loss)
        if number % 50 == 0:
            mean, seconds = float(jnp.stack(recent).mean()), time.monotonic() - start
            print(f"step {number} loss {mean:.4f} {seconds:.0f} s", flush=True)
            recent.clear()
    return weights


def cosine(peak: float) -> optax.Schedule:
    return optax.warmup_cosine_decay_schedule(0.0, peak, WARM_UP, STEPS, peak / 100)


def optimizer_of(weights: Weights) -> dict[str, str]:
    """Muon for the matrices inside the network, AdamW for the embedding and the norms' gains."""
    return {name: "muon" if "_proj." in name else "adam" for name in weights}


def endless_batches(tokens: np.ndarray, length: int, random: np.random.Generator) -> Iterator:
    """`[batch, length + 1]` windows: each pass cuts the text at another place and shuffles."""
    batch = TOKENS_A_STEP // length
    while True:
        starts = np.arange(random.integers(length), tokens.size - length, length)
        for first in random.permutation(starts)[: len(starts) // batch * batch].reshape(-1, batch):
            yield jnp.asarray(tokens[first[:, None] + np.arange(length + 1)], jnp.int32)


def report_losses(
    shape: Shape,
    weights: dict[str, np.ndarray],
    tokenizer: Tokenizer,
    train: np.ndarray,
    held_out: np.ndarray,
) -> None:
    """Prints what the weights that are written lose, on text seen and not seen.

    Windows of `context` tokens do not overlap; the first token of each is given, not guessed.
    """
    exact = {name: jnp.asarray(weight, jnp.float32) for name, weight in weights.items()}
    losses = jax.jit(lambda windows: token_losses(shape, exact, windows))
    for name, tokens in [("train", train), ("held out", held_out)]:
        windows = tokens[: tokens.size // shape.context * shape.context].reshape(-1, shape.context)
        nats = np.concatenate([np.asarray(losses(window[None])) for window in windows])
        guessed_bytes = sum(len(tokenizer.decode(window[1:]).encode()) for window in windows)
        bits_per_byte = nats.sum(dtype=np.float64) / math.log(2) / guessed_bytes
        print(
            f"{name}: {nats.mean():.4f} nats per token, perplexity {math.exp(nats.mean()):.3f}, "
            f"{bits_per_byte:.4f} bits per byte, {nats.size} tokens"
        )


if __name__ == "__main__":
    main()
