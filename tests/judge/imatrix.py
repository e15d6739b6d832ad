"""Importance matrices through llama.cpp's own reader, `common_imatrix_load` of libllama-common, which llama-quantize calls.

It is a C++ function: what it takes and fills are laid out here by hand as GNU's standard library has them, for the
release that `fixtures.py` pins.
"""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy

import llama

LOAD = "_Z19common_imatrix_loadRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEER14common_imatrix"


class String(ctypes.Structure):
    """`std::string`; only long ones are made here, whose bytes lie elsewhere"""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("room", c_size_t), ("unused", c_size_t)]


class Vector(ctypes.Structure):
    """`std::vector`"""

    _fields_ = [("start", c_void_p), ("end", c_void_p), ("room", c_void_p)]


class Node(ctypes.Structure):
    """A node of `std::map<std::string, common_imatrix_entry>`"""


Node._fields_ = [
    ("color", c_int64),
    ("parent", POINTER(Node)),
    ("left", POINTER(Node)),
    ("right", POINTER(Node)),
    ("name", String),
    ("sums", Vector),
    ("counts", Vector),
]


class Imatrix(ctypes.Structure):
    """`struct common_imatrix`, with room to spare"""

    _fields_ = [
        ("compare", c_int64),
        ("color", c_int64),
        ("root", POINTER(Node)),
        ("first", c_void_p),
        ("last", c_void_p),
        ("count", c_size_t),
        ("datasets", Vector),
        ("chunk_count", c_int32),
        ("chunk_size", c_int32),
        ("is_legacy", ctypes.c_bool),
        ("has_metadata", ctypes.c_bool),
        ("spare", ctypes.c_char * 256),
    ]


class ImatrixData(ctypes.Structure):
    """`struct llama_model_imatrix_data`: what llama_model_quantize takes, an array that ends with zeros"""

    _fields_ = [("name", c_char_p), ("data", POINTER(c_float)), ("size", c_size_t)]


def load(folder, path):
    """The mean squares of each tensor, and the number of chunks, as llama-quantize takes them from a file."""
    library = ctypes.CDLL(str(llama.only(Path(folder), "libllama-common.*so*")))
    function = getattr(library, LOAD)
    function.restype, function.argtypes = ctypes.c_bool, [POINTER(String), POINTER(Imatrix)]
    name = ctypes.create_string_buffer(os.fsencode(path))
    text = String(ctypes.cast(name, c_void_p), len(name.value), len(name.value), 0)
    loaded = Imatrix()
    header = ctypes.addressof(loaded) + Imatrix.color.offset
    loaded.first = loaded.last = header  # an empty map
    if not function(byref(text), byref(loaded)):
        raise llama.LlamaError(f"{path} is not read by llama.cpp")
    if not loaded.is_legacy and not loaded.has_metadata:
        raise llama.LlamaError(f"{path} lacks metadata that llama-quantize wants")
    entries = dict(_entries(loaded.root, loaded.is_legacy))
    if len(entries) != loaded.count:
        raise llama.LlamaError(f"{len(entries)} entries found, llama.cpp counts {loaded.count}")
    return entries, loaded.chunk_count


def data(entries):
    """Mean squares as llama_model_quantize takes them; the second result keeps the numbers alive."""
    arrays = {name: numpy.ascontiguousarray(values, dtype="<f4") for name, values in entries.items()}
    rows = [
        ImatrixData(name.encode(), values.ctypes.data_as(POINTER(c_float)), values.size) for name, values in arrays.items()
    ]
    return (ImatrixData * (len(rows) + 1))(*rows), arrays


def _entries(node, is_legacy):
    if not node:
        return
    node = node.contents
    yield from _entries(node.left, is_legacy)
    name = ctypes.string_at(node.name.data, node.name.length).decode()
    sums, counts = _values(node.sums, "<f4"), _values(node.counts, "<i8")
    yield name, sums / numpy.float32(counts[0])  # no experts here: one count
    yield from _entries(node.right, is_legacy)


def _values(vector, kind):
    return numpy.frombuffer(ctypes.string_at(vector.start, vector.end - vector.start), dtype=kind)
