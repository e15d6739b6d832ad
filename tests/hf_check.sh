#!/usr/bin/env bash
# By hand, when Hugging Face folders have changed: stock transformers loads FOLDER, continues prompts, and, with
# the GGUF file of the same model, is compared with stock llama.cpp and with what its converter makes of FOLDER.
#     tests/hf_check.sh FOLDER [GGUF]
# Installs PyTorch and transformers beside the fixtures, once: about 3 GB to fetch, 6 GB on disk.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: tests/hf_check.sh FOLDER [GGUF]" >&2
    exit 2
fi
tests="$(cd "$(dirname "$0")" && pwd)"
fixtures="${SECATEUR_FIXTURES:-$HOME/.cache/secateur/fixtures}"
venv="$fixtures/hf-venv"

"$tests/fixtures.py"
if ! [ -e "$venv/complete" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        torch==2.15.0 transformers==5.23.0 sentencepiece==0.2.3
    # the source of llama-cpp-python carries llama.cpp's converter
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$venv" \
        --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar -xzf "$venv/llama_cpp_python-0.3.36.tar.gz" -C "$venv"
    rm "$venv/llama_cpp_python-0.3.36.tar.gz"
    touch "$venv/complete"
fi
export HF_HUB_OFFLINE=1 SECATEUR_FIXTURES="$fixtures"
"$venv/bin/python" "$tests/scripts/check_hf.py" "$@"
if [ $# -eq 2 ]; then
    llama_cpp="$venv/llama_cpp_python-0.3.36/vendor/llama.cpp"
    PYTHONPATH="$llama_cpp/gguf-py" "$venv/bin/python" "$tests/scripts/check_converter.py" \
        "$llama_cpp/convert_hf_to_gguf.py" "$@"
fi
