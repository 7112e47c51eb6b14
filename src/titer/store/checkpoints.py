"""Where the checkpoints of a training stand.

checkpoint_path(out, 100)       # out/checkpoints/step-000100
kept_checkpoints(out)           # {10: …, 20: …, 100: …}
"""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(out: Path, step: int) -> Path:
    """Where the checkpoint after `step` updates stands."""
    return out / "checkpoints" / f"step-{step:06d}"


def kept_checkpoints(out: Path) -> dict[int, Path]:
    """The checkpoints of a training, by update, in order."""
    found = [(path.name.removeprefix("step-"), path) for path in (out / "checkpoints").glob("step-*") if path.is_dir()]
    steps = sorted((int(step), path) for step, path in found if step.isdecimal())
    return {step: path for step, path in steps if path == checkpoint_path(out, step)}  # others are somebody's copies
