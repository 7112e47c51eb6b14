"""Names of what stands in a run directory, and how its JSON files are read.

made = read_json(folder / STAGE, as_object)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from titer.errors import reading
from titer.records.formats import is_whole

MANIFEST: Final = "manifest.json"
STAGE: Final = "stage.json"  # in each stage's folder: what made it
LOCK: Final = ".titer.lock"  # of the call that works in a folder
KEY: Final = 12  # characters of a stage's key in a folder's name

STAGE_AGAIN: Final = "remove the folder it is in, and its stage is run again"
"""The remedy for a damaged file of a stage."""
TRAINING_AGAIN: Final = "remove the folder of the training to begin it anew"
"""The remedy for a damaged log of a training."""

T = TypeVar("T")


def read_json(file: Path, parse: Callable[[Any], T], *, remedy: str = STAGE_AGAIN) -> T:
    """What `parse` makes of a JSON file. Raises InputError for one of another form than titer writes it in."""
    with reading(file, remedy=remedy):
        return parse(json.loads(file.read_text(encoding="utf-8")))


def read_lines(file: Path, *, remedy: str = STAGE_AGAIN) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; a last line that a crash has torn is left out. Raises InputError for lines that
    are none."""
    with reading(file, remedy=remedy):
        *lines, last = file.read_bytes().split(b"\n")
        return [as_object(json.loads(line.decode())) for line in [*lines, *[last] * is_whole(last)] if line]


def as_object(value: Any) -> dict[str, Any]:
    """The same, typed. Raises TypeError for what is no JSON object."""
    return {**value}
