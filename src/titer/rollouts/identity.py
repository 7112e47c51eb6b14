"""Which weights a model name stands for today."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from titer.models import locate, standing_on
from titer.store import content_hash, file_hash


def model_identity(name: str, server: str | None = None) -> str:
    """The hash of a local model's files, of adapters with that of what they stand on; of one behind a server or on a
    hub, its address and name. Of several servers any may have given a rollout, and which there are may change: the name
    alone. Raises InputError for a model, or a base of adapters, that is not here."""
    if server and "," in server:
        return f"{name} at several servers"
    if server:
        return f"{name} at {server}"
    hashes = [_hash(place) for place in standing_on(locate(name))]
    return content_hash(hashes) if len(hashes) > 1 else hashes[0]


def _hash(place: str) -> str:
    path = Path(place)
    if not path.exists():
        return place
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stamps = ((str(file), file.stat()) for file in files if file.is_file())
    return _hash_once(place, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stamps))


@lru_cache(maxsize=64)
def _hash_once(place: str, _stamps: tuple[tuple[str, int, int], ...]) -> str:
    """All checkpoints of a training stand on one base, which is large."""
    return file_hash(place)
