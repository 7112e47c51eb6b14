"""The student that all arms of all seeds start from: it thinks in words, and is half able."""

from __future__ import annotations

import shutil
from pathlib import Path

from titer.recipe import Train
from titer.reproduce.bases import base_of
from titer.reproduce.experiment import Measures
from titer.reproduce.findings.arms import fine_tune
from titer.reproduce.findings.stages.settings import IN_DOMAIN, Settings


def warm_up(settings: Settings, folder: Path) -> Measures:
    """Train the student, into `folder/model`, on problems that no seed draws."""
    from titer.lab.tasks import items
    from titer.lab.teachers import explain

    # a seed of its own: the arms' seeds count from 0
    made = [item for task in IN_DOMAIN for item in items(task, settings.warm_updates * 8, seed=1000, held=False)]
    traces = [explain(item, teacher="convergent", seed=1000) for item in made]
    how = Train(
        objective="nll", updates=settings.warm_updates, batch_size=16, learning_rate=1e-3, micro_tokens=2048,
        probe_samples=0, save_seconds=600,
    )  # fmt: skip
    base = base_of(settings, folder.parent)
    done = fine_tune(base, traces, how, seed=1000, folder=folder / "warm")
    shutil.copytree(done.checkpoint, folder / "model", dirs_exist_ok=True)
    return {"updates": settings.warm_updates}
