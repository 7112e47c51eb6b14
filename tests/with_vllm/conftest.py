"""Needs vLLM in an environment of its own: `make test-vllm` makes it and names its python here."""

from __future__ import annotations

import os

collect_ignore = [] if "TITER_VLLM_PYTHON" in os.environ else ["test_vllm.py", "test_rl_server.py"]
