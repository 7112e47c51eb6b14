"""Needs DeepSpeed, built without kernels, and a C++ compiler: `make test-deepspeed` installs it."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("deepspeed") else ["test_zero.py"]
