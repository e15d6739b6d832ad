"""The network: a plain Llama, with weights named and laid out as Hugging Face has them.

Every matrix is `[out_features, in_features]`.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

Weights = dict[str, jax.Array]


@dataclass(frozen=True)
class Shape:
    """Small, and awkward as real models are: no width but the feed-forward one is a multiple of
    256, so the 256-wide quantized types fit some matrices and must give way in others.
    """

    vocabulary: int = 1024
    hidden: int = 160
    feed_forward: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    context: int = 256
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def head(self) -> int:
        return self.hidden // self.heads


def initial_weights(shape: Shape, key: jax.Array) -> Weights:
    """Normal weights scaled by fan-in; what writes to the residual stream starts smaller."""
    kv = shape.kv_heads * shape.head
    residual = 1 / math.sqrt(2 * shape.layers)
    weights: Weights = {"model.norm.weight": jnp.ones(shape.hidden)}

    def normal(name: str, rows: int, columns: int, scale: float) -> None:
        nonlocal key
        key, fresh = jax.random.split(key)
        weights[name] = scale * jax.random.normal(fresh, (rows, columns))

    normal("model.embed_tokens.weight", shape.vocabulary, shape.hidden, 0.02)
    wide, narrow = shape.hidden**-0.5, shape.feed_forward**-0.5
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        normal(at + "self_attn.q_proj.weight", shape.hidden, shape.hidden, wide)
        normal(at + "self_attn.k_proj.weight", kv, shape.hidden, wide)
        normal(at + "self_attn.v_proj.weight", kv, shape.hidden, wide)
        normal(at + "self_attn.o_proj.weight", shape.hidden, shape.hidden, wide * residual)
        normal(at + "mlp.gate_proj.weight", shape.feed_forward, shape.hidden, wide)
        normal(at + "mlp.up_proj.weight", shape.feed_forward, shape.hidden, wide)
        normal(at + "mlp.down_proj.weight", shape.hidden, shape.feed_forward, narrow * residual)
        weights[at + "input_layernorm.weight"] = jnp.ones(shape.hidden)
        weights[at + "post_attention_layernorm.weight"] = jnp.ones(shape.hidden)
    return weights


def token_losses(shape: Shape, weights: Weights, tokens: jax.Array) -> jax.Array:
    """Nats for each next token: `tokens` is `[batch, length + 1]`, the answer `[batch, length]`."""
    logits = next_token_logits(shape, weights, tokens[:, :-1])
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.take_along_axis(log_probability, tokens[:, 1:, None], axis=-1)[..., 0]


def next_token_logits(shape: Shape, weights: Weights, tokens: jax.Array) -> jax.Array:
    """`[batch, length]` tokens to `[batch, length, vocabulary]` logits; embeddings are tied."""
    embedding = weights["model.embed_tokens.weight"]
    stream = embedding[tokens]
    rotation = rope_rotation(shape, tokens.shape[1])
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        normed = rms_norm(shape, stream, weights[at + "input_layernorm.weight"])
        stream = stream + attention(shape, weights, at + "self_attn.", normed, rotation)
        normed = rms_norm(shape, stream, weights[at + "post_attention_layernorm.weight"])
        gate = jax.nn.silu(normed @ weights[at + "mlp.gate_proj.weight"].T)
        up = normed @ weights[at + "mlp.up_proj.weight"].T
        stream = stream + (gate * up) @ weights[at + "mlp.down_proj.weight"].T
    return rms_norm(shape, stream, weights["model.norm.weight"]) @ embedding.T


def rms_norm(shape: Shape, stream: jax.Array, gain: jax.Array) -> jax.Array:
    mean_square = jnp.mean(stream * stream, axis=-1, keepdims=True)
    return gain * stream * jax.lax.rsqrt(mean_square + shape.norm_epsilon)


def attention(
    shape: Shape, weights: Weights, at: str, stream: jax.Array, rotation: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """Causal attention where each key-value head serves `heads / kv_heads` query heads in a row."""
    batch, length, _ = stream.shape
    group = shape.heads // shape.kv_heads

    def project(name: str) -> jax.Array:
        return (stream @ weights[at + name].T).reshape(batch, length, -1, shape.head)

    query = rotate(project("q_proj.weight"), rotation)
    key = rotate(project("k_proj.weight"), rotation)
    value = project("v_proj.weight")
    query = query.reshape(batch, length, shape.kv_heads, group, shape.head)
    scores = jnp.einsum("btkgd,bskd->bkgts", query, key) * shape.head**-0.5
    causal = jnp.tril(jnp.ones((length, length), bool))
    attended = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
    mixed = jnp.einsum("bkgts,bskd->btkgd", attended, value).reshape(batch, length, -1)
    return mixed @ weights[at + "o_proj.weight"].T


def rope_rotation(shape: Shape, length: int) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine, `[length, 1, head / 2]`."""
    frequency = shape.rope_base ** (-jnp.arange(0, shape.head, 2) / shape.head)
    angle = jnp.arange(length)[:, None, None] * frequency
    return jnp.cos(angle), jnp.sin(angle)


def rotate(heads: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Rotary position embedding as Hugging Face pairs it: first half with second half."""
    cosine, sine = rotation
    first, second = jnp.split(heads, 2, axis=-1)
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)
