"""Needs Ray: `make test-ray` installs it."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("ray") else ["test_ray.py"]
