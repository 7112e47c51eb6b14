"""How fast the base answered: a budget in minutes goes by it.

note_pace(work / PACE, drawn, seconds)
tokens = budget(recipe.evaluate, work / PACE)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titer.recipe import Evaluate
from titer.records import Rollout
from titer.store import read_json, write_json

PACE = "pace.json"


def note_pace(file: Path, drawn: Sequence[Rollout], seconds: float) -> None:
    """Add what was freshly drawn, and how long that took, to what stands in the file: a resumed run adds to it."""
    if drawn:
        had = _pace(file) if file.exists() else {"tokens": 0, "seconds": 0.0}
        tokens = had["tokens"] + sum(rollout.tokens for rollout in drawn)
        write_json(file, {"tokens": tokens, "seconds": had["seconds"] + seconds})


def _pace(file: Path) -> dict[str, float]:
    return read_json(file, lambda found: {name: found[name] + 0 for name in ("tokens", "seconds")})


def budget(settings: Evaluate, pace: Path) -> int | None:
    """The tokens for a checkpoint in between: as set, or as many as the minutes allow at the base's pace."""
    if not settings.minutes:
        return settings.tokens
    measured = _pace(pace)
    return max(1, round(60 * settings.minutes * measured["tokens"] / max(1e-9, measured["seconds"])))
