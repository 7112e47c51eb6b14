"""Needs s3fs and moto: `make test-s3` installs them."""

from __future__ import annotations

import importlib.util

there = all(importlib.util.find_spec(name) for name in ("s3fs", "moto", "flask"))
collect_ignore = [] if there else ["test_s3.py"]
