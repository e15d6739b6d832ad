#!/usr/bin/env python3
"""Writes the goldens of the codecs: what ggml's own library makes of given bytes and given numbers.

    tests/golden/make_codecs.py [PATH/libggml-base.so]

`model/tests/golden/dequantize.bin` is records of
    u32 type number, u32 bytes, the bytes (random, scales finite), the f32 numbers that they stand for.
`quantize/tests/golden/quantize.bin` is
    u32 row length, u32 ordinary rows, u32 hostile rows, f32 numbers of all rows, f32 importance of the columns,
    then records of u32 type number, u32 by importance (0 or 1), u32 bytes, the bytes;
types that must agree byte for byte store all rows, the others the ordinary ones only.
Everything is little-endian.
"""
import ctypes
import os
import pathlib
import random
import struct
import sys

ROW = 256
# name: (number in ggml, numbers per block, bytes per block, where the half-precision scales are)
TYPES = {
    "f32": (0, 1, 4, []),
    "f16": (1, 1, 2, [0]),
    "bf16": (30, 1, 2, []),
    "q8_0": (8, 32, 34, [0]),
    "q6_k": (14, 256, 210, [208]),
    "q5_k": (13, 256, 176, [0, 2]),
    "q5_1": (7, 32, 24, [0, 2]),
    "q5_0": (6, 32, 22, [0]),
    "q4_k": (12, 256, 144, [0, 2]),
    "q4_1": (3, 32, 20, [0, 2]),
    "q4_0": (2, 32, 18, [0]),
    "iq4_nl": (20, 32, 18, [0]),
    "iq4_xs": (23, 256, 136, [0]),
    "mxfp4": (39, 32, 17, []),
    "iq3_s": (21, 256, 110, [0]),
    "q3_k": (11, 256, 110, [108]),
    "q2_k": (10, 256, 84, [80, 82]),
}
SAME_BYTES = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "mxfp4"]
BY_IMPORTANCE = ["q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "iq3_s", "q3_k", "q2_k"]
ROOT = pathlib.Path(__file__).resolve().parents[2]


class TypeTraits(ctypes.Structure):
    """`struct ggml_type_traits`"""

    _fields_ = [
        ("type_name", ctypes.c_char_p),
        ("block_len", ctypes.c_int64),
        ("block_len_interleave", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float", ctypes.c_void_p),
    ]


class Ggml:
    """The two functions that matter here."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.library.ggml_get_type_traits.restype = ctypes.POINTER(TypeTraits)
        self.library.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.library.ggml_quantize_chunk.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
            ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
        ]  # fmt: skip

    def dequantize(self, name, stored):
        number, block_len, block_bytes, _ = TYPES[name]
        if name == "f32":
            return stored
        count = len(stored) // block_bytes * block_len
        out = (ctypes.c_float * count)()
        traits = self.library.ggml_get_type_traits(number).contents
        traits.to_float(ctypes.cast(ctypes.c_char_p(stored), ctypes.c_void_p), ctypes.addressof(out), count)
        return bytes(out)

    def quantize(self, name, values, importance):
        number, block_len, block_bytes, _ = TYPES[name]
        source = (ctypes.c_float * len(values))(*values)
        weights = (ctypes.c_float * ROW)(*importance) if importance else None
        out = ctypes.create_string_buffer(len(values) // block_len * block_bytes)
        written = self.library.ggml_quantize_chunk(
            number, ctypes.addressof(source), ctypes.addressof(out),
            0, len(values) // ROW, ROW, ctypes.addressof(weights) if importance else None,
        )  # fmt: skip
        assert written == len(out.raw), (name, written, len(out.raw))
        return out.raw


def finite_half(generator):
    """Any half-precision number but infinities and not-a-number, subnormals included."""
    while True:
        bits = generator.getrandbits(16)
        if bits & 0x7C00 != 0x7C00:
            return struct.pack("<H", bits)


def random_blocks(name, generator):
    """512 stored numbers with every bit in play."""
    _, block_len, block_bytes, scales = TYPES[name]
    stored = b""
    for _ in range(512 // block_len):
        block = bytearray(generator.randbytes(block_bytes))
        for offset in scales:
            block[offset : offset + 2] = finite_half(generator)
        if name in ("f32", "bf16"):
            block[-1] &= 0xBF  # the highest bit of the exponent
        if name == "mxfp4":
            block[0] = generator.randrange(250)
        stored += bytes(block)
    return stored


def single(value):
    """Rounded to single precision."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def ordinary_rows(generator):
    """Gaussian numbers; heavy tails, as trained weights have them; one sign only."""
    gauss = generator.gauss
    rows = [gauss(0, 1) for _ in range(2 * ROW)]
    rows += [0.02 * gauss(0, 1) / (sum(gauss(0, 1) ** 2 for _ in range(4)) / 4) ** 0.5 for _ in range(3 * ROW)]
    rows += [abs(gauss(0, 1)) for _ in range(ROW)]
    return [single(value) for value in rows]


def hostile_rows(generator):
    """Blocks of zeros of both signs, of ties, of subnormal and of huge numbers, and of all magnitudes."""
    rows = [0.0] * 32 + [-0.0] * 32 + [generator.choice([0.0, -0.0]) for _ in range(64)]
    rows += [float(generator.randrange(-16, 17)) for _ in range(64)]
    rows += [generator.randrange(-256, 257) / 16 for _ in range(64)]
    rows += [generator.choice([-1, 1]) * generator.randrange(64) * 2.0**-149 for _ in range(64)]
    rows += [generator.choice([-1, 1]) * generator.uniform(0.5, 1) * 2.0**-126 for _ in range(32)]
    rows += [generator.uniform(-1, 1) * 3.4e38 for _ in range(64)]
    rows += [generator.gauss(0, 1) * 10.0 ** generator.randrange(-30, 30) for _ in range(96)]
    return [single(value) for value in rows]


def main():
    fixtures = os.environ.get("SECATEUR_FIXTURES") or pathlib.Path.home() / ".cache/secateur/fixtures"
    library = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(fixtures) / "llama.cpp/libggml-base.so"
    ggml = Ggml(library)
    generator = random.Random(20)

    golden = b""
    for name, (number, *_) in TYPES.items():
        stored = random_blocks(name, generator)
        golden += struct.pack("<II", number, len(stored)) + stored + ggml.dequantize(name, stored)
    write(ROOT / "model/tests/golden/dequantize.bin", golden)

    ordinary = ordinary_rows(generator)
    hostile = hostile_rows(generator)
    importance = [single(generator.gauss(0, 1) ** 2 + 0.01) for _ in range(ROW)]
    values = ordinary + hostile
    golden = struct.pack("<III", ROW, len(ordinary) // ROW, len(hostile) // ROW)
    golden += struct.pack(f"<{len(values)}f", *values) + struct.pack(f"<{ROW}f", *importance)
    records = [(name, values if name in SAME_BYTES else ordinary, None) for name in TYPES]
    records += [(name, ordinary, importance) for name in BY_IMPORTANCE]
    for name, numbers, weights in records:
        stored = ggml.quantize(name, numbers, weights)
        golden += struct.pack("<III", TYPES[name][0], weights is not None, len(stored)) + stored
    write(ROOT / "quantize/tests/golden/quantize.bin", golden)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f"{path.relative_to(ROOT)}: {len(content)} bytes")


if __name__ == "__main__":
    main()
