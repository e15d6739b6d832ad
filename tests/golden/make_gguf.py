"""Writes tests/golden/gguf/*.gguf with the ggml project's own `gguf` package (0.19.0), for the reader to be tested against.

    pip install gguf==0.19.0 && python tests/golden/make_gguf.py

The expected values stand in model/tests/golden_gguf.rs.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

FOLDER = Path(__file__).parent / "gguf"


def add_values(writer: gguf.GGUFWriter) -> None:
    """One key of every type, one array of every type, one array of arrays."""
    scalars = {
        Value.UINT8: 255, Value.INT8: -128, Value.UINT16: 65535, Value.INT16: -32768,
        Value.UINT32: 4294967295, Value.INT32: -2147483648, Value.FLOAT32: 0.1, Value.BOOL: True,
        Value.STRING: "▁é\0 ", Value.UINT64: 18446744073709551615, Value.INT64: -9223372036854775808,
        Value.FLOAT64: 0.1,
    }
    for kind, value in scalars.items():
        writer.add_key_value(f"scalar.{kind.name.lower()}", value, kind)
        array = ["", value, "b"] if kind == Value.STRING else [False, True, True] if kind == Value.BOOL else [0, value, 1]
        writer.add_key_value(f"array.{kind.name.lower()}", array, Value.ARRAY, sub_type=kind)
    writer.add_key_value("array.array", [[1, 2], [3]], Value.ARRAY)


def add_tensors(writer: gguf.GGUFWriter) -> None:
    numbers = np.arange(-48, 48, dtype=np.float32) / 8
    writer.add_tensor("plain.f32", numbers[:6].reshape(2, 3))
    writer.add_tensor("plain.f16", numbers[:7].astype(np.float16))
    writer.add_tensor("cube.f32", numbers[:24].reshape(2, 3, 4))
    for kind in [Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]:
        blocks = gguf.quants.quantize(numbers.reshape(3, 32), kind)
        writer.add_tensor(f"blocks.{kind.name.lower()}", blocks, raw_dtype=kind)


def write(name: str, version: int, alignment: int | None = None, **options) -> None:
    gguf.gguf_writer.GGUF_VERSION = version
    writer = gguf.GGUFWriter(FOLDER / name, "llama", **options)
    if alignment:
        writer.add_custom_alignment(alignment)
    add_values(writer)
    add_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


FOLDER.mkdir(exist_ok=True)
write("version3.gguf", 3)
write("version2.gguf", 2)
write("aligned64.gguf", 3, alignment=64)
write("split.gguf", 3, split_max_tensors=4)
