#!/usr/bin/env python3
"""Converts a Hugging Face folder with llama.cpp's own converter and compares the result with our GGUF of the same
model: every tensor byte for byte, every key of the metadata. Run by `tests/hf_check.sh FOLDER GGUF`.

Tensors, the tokenizer and the architecture must agree; what `EXPECTED` names may differ, each for its reason."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from gguf import GGUFReader

EXPECTED = {
    "general.": "the converter takes names from the folder, we from what the model says about itself",
    "secateur.": "our own keys",
    "llama.attention.key_length": "ours only where it is not hidden size / heads, as converters before 2026 wrote it",
    "llama.attention.value_length": "as key_length",
    "qwen2.attention.key_length": "as llama's",
    "qwen2.attention.value_length": "as llama's",
    "gemma3.rope.freq_base_swa": "ours only where it is not 10000, which is what llama.cpp assumes",
    "tokenizer.ggml.add_eos_token": "the converter writes what is false by default",
}

NEVER = ("general.architecture", "general.alignment", "general.file_type", "general.quantization_version")
"""Keys that do not describe the model and must agree, whatever `EXPECTED` says."""


def main(converter, folder, ours):
    ours = GGUFReader(ours)
    with tempfile.TemporaryDirectory() as scratch:
        theirs = Path(scratch) / "theirs.gguf"
        types = {tensor.tensor_type.name for tensor in ours.tensors} - {"F32"}
        outtype = types.pop().lower() if types else "f32"
        if types:
            raise SystemExit(f"{folder}: matrices have more than one type, the converter writes one")
        command = [sys.executable, converter, folder, "--outtype", outtype, "--outfile", theirs]
        ran = subprocess.run(command, capture_output=True, text=True)
        if "BPE pre-tokenizer was not recognized" in ran.stderr:
            print("converter: refuses this model, whose tokenizer is not in its list")
            return
        if ran.returncode != 0:
            raise SystemExit(f"converter: {ran.stderr}")
        differences = compare_tensors(ours, GGUFReader(theirs)) + compare_metadata(ours, GGUFReader(theirs))
    if differences:
        raise SystemExit("\n".join(["converter: differs from ours", *differences]))


def compare_tensors(ours, theirs):
    ours, theirs = ({tensor.name: tensor for tensor in reader.tensors} for reader in (ours, theirs))
    differences = [f"tensor {name} is in one file only" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        left, right = ours[name], theirs[name]
        if left.tensor_type != right.tensor_type or not numpy.array_equal(left.data, right.data):
            differences.append(f"tensor {name}: {left.tensor_type.name} {left.shape}, "
                               f"theirs {right.tensor_type.name} {right.shape}, or other numbers")
    print(f"converter: {len(ours)} tensors compared, {len(differences)} differ")
    return differences


def compare_metadata(ours, theirs):
    ours, theirs = ({name: (field.types, field.contents()) for name, field in reader.fields.items()
                     if not name.startswith("GGUF.")} for reader in (ours, theirs))
    keys = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    expected = [name for name in keys if name.startswith(tuple(EXPECTED)) and name not in NEVER]
    print(f"converter: {len(ours)} keys compared; of those that may, these differ: {', '.join(expected) or 'none'}")
    return [f"{name}: {str(ours.get(name))[:200]}, theirs {str(theirs.get(name))[:200]}"
            for name in keys if name not in expected]


if __name__ == "__main__":
    main(*sys.argv[1:])
