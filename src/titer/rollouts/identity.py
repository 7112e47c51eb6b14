"""Which weights a model name stands for today."""

from __future__ import annotations

from pathlib import Path

from titer.models import locate
from titer.store import file_hash


def model_identity(name: str, server: str | None = None) -> str:
    """The hash of a local model's files; of one behind a server or on a hub, its address and name. Of several servers
    any may have given a rollout, and which there are may change: the name alone."""
    if server and "," in server:
        return f"{name} at several servers"
    if server:
        return f"{name} at {server}"
    place = locate(name)
    return file_hash(place) if Path(place).exists() else place
