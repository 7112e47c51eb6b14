"""How many processes are worth starting at a time."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may run on: fewer than the machine's where it is pinned to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
