#!/usr/bin/env bash
# By hand, when Hugging Face folders have changed: stock transformers loads FOLDER, continues prompts, and, with
# the GGUF file of the same model, is compared with stock llama.cpp.
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
    "$venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 transformers==5.23.0
    touch "$venv/complete"
fi
HF_HUB_OFFLINE=1 SECATEUR_FIXTURES="$fixtures" "$venv/bin/python" "$tests/scripts/check_hf.py" "$@"
