"""What passes a model in stock llama.cpp, seen through the callback of its scheduler; the arithmetic is numpy's."""

import ctypes
from ctypes import POINTER, c_bool, c_char, c_int32, c_int64, c_size_t, c_void_p

import numpy

import llama


class Tensor(ctypes.Structure):
    """`struct ggml_tensor`"""


Tensor._fields_ = [
    ("type", c_int32),
    ("buffer", c_void_p),
    ("ne", c_int64 * 4),
    ("nb", c_size_t * 4),
    ("op", c_int32),
    ("op_params", c_int32 * 16),
    ("flags", c_int32),
    ("src", POINTER(Tensor) * 10),
    ("view_src", c_void_p),
    ("view_offs", c_size_t),
    ("data", c_void_p),
    ("name", c_char * 64),
]

EvalCallback = ctypes.CFUNCTYPE(c_bool, POINTER(Tensor), c_bool, c_void_p)


class Watch:
    """Keeps the inputs of some matrices and the output of every layer, `[tokens, features]` in f64 each."""

    def __init__(self, stock, matrices):
        stock.base.ggml_op_name.restype = ctypes.c_char_p
        self.stock, self.matrices, self.seen = stock, matrices, {}
        self.callback = EvalCallback(self._seen)

    def _seen(self, tensor, asks, _user_data):
        tensor = tensor.contents
        name = self._name(tensor)
        if name and not asks:
            rows = _rows(tensor if name.startswith("l_out") else tensor.src[1].contents)
            self.seen.setdefault(name, []).append(rows)
        return bool(name) or not asks

    def _name(self, tensor):
        if tensor.name.startswith(b"l_out-"):
            return tensor.name.decode()
        if self.stock.base.ggml_op_name(tensor.op) == b"MUL_MAT":
            name = tensor.src[0].contents.name.decode()
            return name if name in self.matrices else None
        return None

    def rows(self, name):
        """All that was seen of one name."""
        if name not in self.seen:
            raise llama.LlamaError(f"nothing was seen of {name}")
        return numpy.concatenate(self.seen[name])


def _rows(tensor):
    if tensor.type != llama.TYPE_F32 or tensor.nb[0] != 4 or tensor.ne[2] * tensor.ne[3] != 1:
        raise llama.LlamaError(f"{tensor.name.decode()} is no table of f32")
    width, tokens = tensor.ne[0], tensor.ne[1]
    rows = [ctypes.string_at(tensor.data + token * tensor.nb[1], 4 * width) for token in range(tokens)]
    return numpy.frombuffer(b"".join(rows), dtype="<f4").reshape(tokens, width).astype("f8")


def moments(model, sequences, matrices):
    """`E[x x^T]` and `E[x]` of what each matrix reads, and the block influence of every layer but the first."""
    watch = Watch(model.llama, matrices)
    context = llama.Context(model, max(map(len, sequences)), watch.callback)
    for sequence in sequences:
        context.clear()
        context.logits(sequence)
    inputs = {name: watch.rows(name) for name in matrices}
    averages = {name: (rows.T @ rows / len(rows), rows.mean(axis=0)) for name, rows in inputs.items()}
    layers = [watch.rows(f"l_out-{layer}") for layer in range(model.llama.model_n_layer(model.handle))]
    return averages, [1 - _cosine(before, after).mean() for before, after in zip(layers, layers[1:])]


def _cosine(left, right):
    return (left * right).sum(axis=1) / numpy.linalg.norm(left, axis=1) / numpy.linalg.norm(right, axis=1)
